"""What a server tells of the items and users of a version, on both transports."""

from collections import Counter
from collections.abc import Iterator

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2

from integration.server_process import ServerProcess
from integration.statuses import status_of
from rankserve.v1 import catalog_pb2, models_pb2_grpc, ranking_pb2
from rankserve_client import Item, RankingClient
from server.two_towers import GENRES, Published, Towers

SECONDS = 10
History = ranking_pb2.History


@pytest.fixture
def models(towers_server: ServerProcess) -> Iterator[models_pb2_grpc.ModelServiceStub]:
    with grpc.insecure_channel(towers_server.address) as channel:
        yield models_pb2_grpc.ModelServiceStub(channel)


def test_items_come_in_the_order_of_the_request(models: models_pb2_grpc.ModelServiceStub, towers: Published) -> None:
    response = models.GetItems(catalog_pb2.GetItemsRequest(item_ids=[450, 7, 5, 7, 450]), timeout=SECONDS)
    counts = rating_counts(towers.towers)
    assert [(item.item_id, item.title, item.rating_count) for item in response.items] == [
        (450, "Item 450", counts[450]),
        (5, "Item 5", counts[5]),
        (450, "Item 450", counts[450]),
    ]
    assert [list(item.genres) for item in response.items] == [GENRES[:1], [], GENRES[:1]]
    assert list(response.unknown_item_ids) == [7]
    assert (response.model_name, response.model_version) == ("towers", 1)


@pytest.mark.parametrize("text", ["", "ITEM", "5", "45 ite", "nothing of the kind", "\n"])
def test_titles_are_searched(models: models_pb2_grpc.ModelServiceStub, towers: Published, text: str) -> None:
    counts = rating_counts(towers.towers)
    titles = {id_: f"item {id_}" for id_ in towers.towers.item_ids}
    expected = [id_ for id_, title in titles.items() if all(word in title for word in text.lower().split())]
    expected.sort(key=lambda id_: (-counts[id_], id_))
    found = models.SearchItems(catalog_pb2.SearchItemsRequest(text=text, limit=15), timeout=SECONDS)
    assert [item.item_id for item in found.items] == expected[:15]


def test_a_user_has_seen_what_he_has_rated(models: models_pb2_grpc.ModelServiceStub, towers: Published) -> None:
    seen = towers.towers.seen[18]
    counts = rating_counts(towers.towers)
    response = models.GetUser(catalog_pb2.GetUserRequest(user_id=18, limit=4), timeout=SECONDS)
    assert (response.known, response.seen_count) == (True, len(seen))
    expected = sorted(seen, key=lambda id_: (-counts[id_], id_))
    assert [item.item_id for item in response.seen_items] == expected[:4]
    stranger = models.GetUser(catalog_pb2.GetUserRequest(user_id=-5), timeout=SECONDS)
    assert (stranger.known, stranger.seen_count, len(stranger.seen_items)) == (False, 0, 0)


@pytest.mark.parametrize("history", [{}, {5: 1.0, 50: 5.0, 7: 3.0}])
@pytest.mark.parametrize("user_id", [18, 1])
def test_the_baseline_is_made_of_means(
    models: models_pb2_grpc.ModelServiceStub, towers: Published, user_id: int, history: dict[int, float]
) -> None:
    items = [5, 450, 7]
    known = towers.towers.newcomers
    row = user_id // 3 if user_id % 3 == 0 else 0
    above = [r - known.encoding.mean - float(known.item_offsets[i // 5]) for i, r in history.items() if i % 5 == 0]
    weight = int(known.user_counts[row]) + known.encoding.shrinkage
    mean = (float(known.user_means[row]) * weight + sum(above)) / (weight + len(above))
    offsets = [float(known.item_offsets[item // 5]) if item % 5 == 0 else 0.0 for item in items]
    expected = np.clip([known.encoding.mean + offset + mean for offset in offsets], 1, 5)
    request = catalog_pb2.GetBaselineRequest(user_id=user_id, item_ids=items)
    request.history.CopyFrom(ranking_pb2.History(item_ids=list(history), ratings=list(history.values())))
    assert np.allclose(models.GetBaseline(request, timeout=SECONDS).scores, expected, atol=1e-5)


def test_the_client_tells_the_same(
    models: models_pb2_grpc.ModelServiceStub, towers_server: ServerProcess, towers: Published
) -> None:
    count = rating_counts(towers.towers)[450]
    with RankingClient(towers_server.address) as client:
        found = client.items([450, 7])
        assert (found[0], found.unknown_item_ids) == (Item(450, "Item 450", tuple(GENRES[:1]), count), (7,))
        assert found[0] in client.search_items("450", limit=1, model="towers", version=1)
        user = client.user(18, limit=4)
        assert (user.known, user.seen_count, len(user.seen_items)) == (True, len(towers.towers.seen[18]), 4)
        scores = client.baseline(18, [5, 450], history={50: 5.0}).scores
    request = catalog_pb2.GetBaselineRequest(user_id=18, item_ids=[5, 450], history=History(item_ids=[50], ratings=[5]))
    assert scores == tuple(models.GetBaseline(request, timeout=SECONDS).scores)


def test_a_model_without_means_says_so(channel: grpc.Channel) -> None:
    models = models_pb2_grpc.ModelServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        models.GetBaseline(catalog_pb2.GetBaselineRequest(item_ids=[1]), timeout=SECONDS)
    assert status_of(caught.value).code == code_pb2.UNIMPLEMENTED
    assert "movielens/1 holds no means" in status_of(caught.value).message


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("GetItems", catalog_pb2.GetItemsRequest(), "item_ids"),
        ("GetBaseline", catalog_pb2.GetBaselineRequest(), "item_ids"),
        ("GetBaseline", catalog_pb2.GetBaselineRequest(item_ids=[5], history=History(item_ids=[5])), "history.ratings"),
        (
            "GetBaseline",
            catalog_pb2.GetBaselineRequest(item_ids=[5], history=History(item_ids=[5], ratings=[9])),
            "history.ratings[0]",
        ),
        ("SearchItems", catalog_pb2.SearchItemsRequest(limit=101), "limit"),
        ("SearchItems", catalog_pb2.SearchItemsRequest(text="x" * 201), "text"),
        ("GetUser", catalog_pb2.GetUserRequest(limit=-1), "limit"),
    ],
)
def test_refuses_what_is_out_of_range(
    models: models_pb2_grpc.ModelServiceStub, method: str, request_: object, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        getattr(models, method)(request_, timeout=SECONDS)
    assert status_of(caught.value).code == code_pb2.INVALID_ARGUMENT
    assert status_of(caught.value).message.startswith(f"{field}: ")


@pytest.mark.parametrize("method", ["GetItems", "SearchItems", "GetUser", "GetBaseline"])
def test_a_model_that_is_not_there_is_not_found(models: models_pb2_grpc.ModelServiceStub, method: str) -> None:
    request = getattr(catalog_pb2, f"{method}Request")(model={"name": "other"})
    if method in ("GetItems", "GetBaseline"):
        request.item_ids.append(5)
    with pytest.raises(grpc.RpcError) as caught:
        getattr(models, method)(request, timeout=SECONDS)
    assert status_of(caught.value).code == code_pb2.NOT_FOUND


def rating_counts(towers: Towers) -> Counter[int]:
    return Counter(id_ for ids in towers.seen.values() for id_ in ids)
