"""The gateway's own API against the client of gRPC: the same answers, and the same refusals as problem details."""

from typing import Any

import grpc
import pytest

from integration.gateway.conftest import ALIAS
from integration.gateway.gateway_process import Gateway
from integration.server_process import ServerProcess
from rankserve.v1 import catalog_pb2, models_pb2_grpc, ranking_pb2
from rankserve_client import NewItem, RankingClient
from rankserve_client.ranking import Ranking

RANK = "/api/v1/rank"
CANDIDATES = [450, 5, 7, 200, 5]


@pytest.mark.parametrize(
    ("body", "arguments"),
    [
        ({"user_id": 3, "candidate_ids": CANDIDATES}, {"user_id": 3, "candidates": CANDIDATES}),
        ({"user_id": 3, "top_k": 9}, {"user_id": 3, "top_k": 9}),
        (
            {"user_id": 3, "candidate_ids": CANDIDATES, "order": "as_sent", "top_k": 3, "include_titles": True},
            {"user_id": 3, "candidates": CANDIDATES, "order": "as_sent", "top_k": 3, "titles": True},
        ),
        (
            {"user_id": 6, "top_k": 5, "exclude_seen": True, "exclude_ids": [5, 10], "rank_by": "rating"},
            {"user_id": 6, "top_k": 5, "exclude_seen": True, "exclude": [5, 10], "rank_by": "rating"},
        ),
        (
            {
                "history": {"item_ids": [5, 450], "ratings": [5, 1.5]},
                "user_features": {"age": "24"},
                "top_k": 90,
                "rank_by": "choice",
            },
            {
                "user_id": 0,
                "history": {5: 5.0, 450: 1.5},
                "user_features": {"age": "24"},
                "top_k": 90,
                "rank_by": "choice",
            },
        ),
        (
            {"user_id": 3, "candidate_ids": [7, 8, 5], "new_items": [{"item_id": 7, "genres": ["War"], "year": 1990}]},
            {"user_id": 3, "candidates": [7, 8, 5], "new_items": [NewItem(7, ["War"], 1990)]},
        ),
        (
            {"user_id": 3, "candidate_ids": CANDIDATES, "unknown_items": "omit", "model": {"version": 1}},
            {"user_id": 3, "candidates": CANDIDATES, "unknown_items": "omit", "version": 1},
        ),
        (
            {"user_id": 3, "candidate_ids": CANDIDATES, "model": {"name": "towers", "alias": ALIAS}},
            {"user_id": 3, "candidates": CANDIDATES, "model": "towers", "alias": ALIAS},
        ),
    ],
)
def test_ranks_as_the_client_does(
    gateway: Gateway, client: RankingClient, body: dict[str, Any], arguments: dict[str, Any]
) -> None:
    answer = gateway.post(RANK, body)
    assert answer.status == 200, answer.body
    assert answer.json == as_json(client.rank(**arguments))


def test_a_refused_request_of_a_batch_does_not_touch_its_neighbours(gateway: Gateway, client: RankingClient) -> None:
    requests = [{"user_id": 3, "candidate_ids": CANDIDATES}, {"user_id": 3}, {"user_id": 6, "top_k": 2}]
    first, refused, last = gateway.post(f"{RANK}:batch", {"requests": requests}).json["results"]
    assert first == {"ranking": as_json(client.rank(3, CANDIDATES))}
    assert last == {"ranking": as_json(client.rank(6, top_k=2))}
    assert (refused["error"]["status"], refused["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert [violation["field"] for violation in refused["error"]["violations"]] == ["top_k"]


def test_ids_of_64_bits_stay_exact(gateway: Gateway) -> None:
    large = [2**53 + 1, 2**63 - 1, -(2**63)]
    for sent in (large, list(map(str, large))):
        body = {"user_id": sent[0], "candidate_ids": sent}
        assert gateway.post(RANK, body).json["unknown_item_ids"] == large
    answer = gateway.post(f"{RANK}?string_ids=true", {"user_id": 3, "candidate_ids": large}).json
    assert answer["unknown_item_ids"] == list(map(str, large))
    assert sorted(answer["item_ids"]) == sorted(map(str, large))


def test_describes_models(gateway: Gateway, client: RankingClient) -> None:
    listed = gateway.get("/api/v1/models").json["models"]
    expected = client.models()
    assert [(model["name"], model["version"]) for model in listed] == [("towers", 2), ("towers", 1)]
    for model, info in zip(listed, expected, strict=True):
        assert model["aliases"] == list(info.aliases)
        assert model["metrics"] == dict(info.metrics)
        assert model["abilities"]["baseline"]
        assert model["abilities"]["user_features"] == ["age", "gender"]
        assert (model["rating_min"], model["rating_max"], model["state"]) == (1, 5, "ready")
    assert gateway.get(f"/api/v1/models/towers?alias={ALIAS}").json == listed[1]
    assert gateway.get("/api/v1/models/towers?version=2").json == listed[0]


def test_tells_of_the_catalogue(gateway: Gateway, behind: ServerProcess) -> None:
    with grpc.insecure_channel(behind.address) as channel:
        models = models_pb2_grpc.ModelServiceStub(channel)
        found = models.SearchItems(catalog_pb2.SearchItemsRequest(text="item 45", limit=3))
        user = models.GetUser(catalog_pb2.GetUserRequest(user_id=6))
        told = ranking_pb2.History(item_ids=[5], ratings=[1])
        means = models.GetBaseline(catalog_pb2.GetBaselineRequest(item_ids=[5, 450], user_id=6, history=told))
    place = "/api/v1/models/towers"
    answer = gateway.get(f"{place}/items?search=item%2045&limit=3").json
    assert answer["items"] == [entry(item) for item in found.items]
    ids = ",".join(str(item.item_id) for item in found.items)
    assert gateway.get(f"{place}/items?ids={ids},7").json == {**answer, "unknown_item_ids": [7]}
    known = gateway.get(f"{place}/users/6").json
    assert (known["known"], known["seen_count"]) == (True, user.seen_count)
    assert known["seen_items"] == [entry(item) for item in user.seen_items]
    body = {"user_id": 6, "item_ids": [5, "450"], "history": {"item_ids": [5], "ratings": [1]}}
    assert gateway.post("/api/v1/baseline", body).json["scores"] == list(means.scores)


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        (RANK, {"user_id": "x"}, "user_id", '"x"'),
        (RANK, {"user_id": 1.5}, "user_id", "1.5"),
        (RANK, {"user_id": True}, "user_id", "true"),
        (RANK, {"user_id": 2**63}, "user_id", str(2**63)),
        (RANK, {"user_id": 3, "candidate_ids": [1, None]}, "candidate_ids[1]", "null"),
        (RANK, {"user_id": 3, "candidate_ids": []}, "candidate_ids", "nothing to rank"),
        (RANK, {"user_id": 3, "candidates": [1]}, "candidates", "no such field"),
        (RANK, {"user_id": 3, "top_k": -1}, "top_k", "-1"),
        (RANK, {"user_id": 3}, "top_k", "1 or more"),
        (RANK, {"user_id": 3, "top_k": 1, "order": "best"}, "order", '"best"'),
        (RANK, {"user_id": 3, "top_k": 1, "model": {"version": 0}}, "model.version", "0"),
        (RANK, {"user_id": 3, "top_k": 1, "model": {"version": 1, "alias": "a"}}, "model", "not both"),
        (RANK, {"top_k": 1, "history": {"item_ids": [5], "ratings": []}}, "history.ratings", "0 for 1"),
        (RANK, {"top_k": 1, "history": {"item_ids": [5], "ratings": [9]}}, "history.ratings[0]", "got 9"),
        (RANK, {"top_k": 1, "history": {"item_ids": [5], "ratings": [1e39]}}, "history.ratings[0]", "inf"),
        (RANK, {"top_k": 1, "user_features": {"shoe": "9"}}, "user_features", "shoe"),
        (f"{RANK}:batch", {"requests": []}, "requests", "length"),
        (f"{RANK}:batch", {"requests": [{"top_k": 1}, {"top_k": "1"}]}, "requests[1].top_k", '"1"'),
        (f"{RANK}:batch", {"requests": [{"user_id": n, "top_k": 1} for n in range(21)]}, "requests", "got 21"),
        ("/api/v1/baseline", {"item_ids": []}, "item_ids", "length"),
    ],
)
def test_says_what_is_wrong(gateway: Gateway, path: str, body: object, field: str, words: str) -> None:
    answer = gateway.post(path, body)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert (problem["status"], problem["title"]) == (400, "Bad Request")
    (violation,) = problem["violations"]
    assert violation["field"] == field
    assert words in violation["description"]
    assert words in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/v1/models/towers?version=x", "version"),
        ("/api/v1/models/towers?version=1&alias=a", "alias"),
        ("/api/v1/models/towers/items?ids=5,,7", "ids[1]"),
        ("/api/v1/models/towers/items?ids=5&search=x", "ids"),
        ("/api/v1/models/towers/items?limit=0", "limit"),
        ("/api/v1/models/towers/users/me", "user_id"),
        ("/api/v1/models/towers/users/6?string_ids=perhaps", "string_ids"),
    ],
)
def test_says_what_is_wrong_with_a_path(gateway: Gateway, path: str, words: str) -> None:
    answer = gateway.get(path)
    assert answer.status == 400
    assert answer.json["violations"][0]["field"] == words


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"user_id": NaN}', b'{"user_id": 1e999}', b"\xff", b"[" * 100_000, b"[]"]
)
def test_refuses_what_is_no_json_of_ours(gateway: Gateway, body: bytes) -> None:
    answer = gateway.post(RANK, body)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/models/other", 404),
        ("GET", "/api/v1/models/towers?alias=none", 404),
        ("GET", "/api/v1/nothing", 404),
        ("DELETE", RANK, 405),
        ("GET", RANK, 405),
    ],
)
def test_what_is_not_there(gateway: Gateway, method: str, path: str, status: int) -> None:
    answer = gateway.call(method, path)
    assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.json["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 405:
        assert answer.headers["allow"] == "POST"


def test_every_answer_is_named_and_guarded(gateway: Gateway) -> None:
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/nothing", 404), ("/playground/", 200)):
        answer = gateway.get(path, X_Request_Id="mine")
        assert answer.status == status
        assert answer.headers["x-request-id"] == "mine"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    given = gateway.get("/healthz", X_Request_Id="with space").headers["x-request-id"]
    assert given != "with space"


def as_json(ranking: Ranking) -> dict[str, Any]:
    """Scores with their bits: JSON's numbers are doubles, which hold every float."""
    answer: dict[str, Any] = {
        "item_ids": list(ranking.item_ids),
        "scores": list(ranking.scores),
        "user_known": ranking.user_known,
        "user_basis": ranking.user_basis,
        "model_name": ranking.model_name,
        "model_version": ranking.model_version,
        "unknown_item_ids": list(ranking.unknown_item_ids),
        "described_item_ids": list(ranking.described_item_ids),
    }
    if ranking.titles is not None:
        answer["titles"] = list(ranking.titles)
    if ranking.choice_scores is not None:
        answer["choice_scores"] = list(ranking.choice_scores)
    return answer


def entry(item: catalog_pb2.Item) -> dict[str, Any]:
    return {
        "item_id": item.item_id,
        "title": item.title,
        "genres": list(item.genres),
        "rating_count": item.rating_count,
    }
