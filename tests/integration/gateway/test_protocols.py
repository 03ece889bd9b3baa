"""The REST of the Open Inference Protocol and of TF Serving: the scores of `Rank`, in the shapes that are asked for."""

import json
import struct
from typing import Any

import pytest

from integration.gateway.conftest import ALIAS
from integration.gateway.gateway_process import Gateway
from rankserve_client import RankingClient

INFER = "/v2/models/towers/infer"
PREDICT = "/v1/models/towers:predict"
ITEMS = [450, 5, 7, 200]


def scores(client: RankingClient, user: int, items: list[int], **selection: Any) -> list[float]:
    return list(client.rank(user, items, order="as_sent", **selection).scores)


def tensor(name: str, shape: list[int], data: Any = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "INT64", "shape": shape} | ({} if data is None else {"data": data}) | more


def infer_request(users: list[int], items: list[int], shape: list[int]) -> dict[str, Any]:
    return {"inputs": [tensor("user_id", [len(users)], users), tensor("item_id", shape, items)]}


@pytest.mark.parametrize(
    ("users", "shape"), [([3], [4]), ([3], [2, 2]), ([3, 6], [2, 2]), ([3, 6, 3, 9], [4]), ([3, 6, 3, 9], [4, 1])]
)
def test_infers(gateway: Gateway, client: RankingClient, users: list[int], shape: list[int]) -> None:
    body = infer_request(users, ITEMS, shape) | {"id": "mine"}
    answer = gateway.post(INFER, body).json
    of_each = [users[place * len(users) // 4] for place in range(4)]
    expected = [scores(client, user, [item])[0] for user, item in zip(of_each, ITEMS, strict=True)]
    assert answer == {
        "model_name": "towers",
        "model_version": "2",
        "id": "mine",
        "outputs": [{"name": "score", "datatype": "FP32", "shape": shape, "data": expected}],
    }
    nested = infer_request(users, ITEMS, shape)
    if len(shape) == 2:
        width = shape[1]
        nested["inputs"][1]["data"] = [ITEMS[start : start + width] for start in range(0, 4, width)]
        assert gateway.post(INFER, nested).json["outputs"] == answer["outputs"]


@pytest.mark.parametrize(
    ("place", "selection"), [("versions/1", {"version": 1}), (f"versions/{ALIAS}", {"alias": ALIAS})]
)
def test_infers_by_a_version(gateway: Gateway, client: RankingClient, place: str, selection: dict[str, Any]) -> None:
    answer = gateway.post(f"/v2/models/towers/{place}/infer", infer_request([3, 6], ITEMS, [2, 2])).json
    expected = scores(client, 3, ITEMS[:2], **selection) + scores(client, 6, ITEMS[2:], **selection)
    assert (answer["model_version"], answer["outputs"][0]["data"]) == ("1", expected)


@pytest.mark.parametrize("parameters", [{"parameters": {"binary_data_output": True}}, {"outputs": ["binary"]}, {}])
def test_infers_with_binary_tensors(gateway: Gateway, client: RankingClient, parameters: dict[str, Any]) -> None:
    if "outputs" in parameters:
        parameters = {"outputs": [{"name": "score", "parameters": {"binary_data": True}}]}
    user = tensor("user_id", [1], parameters={"binary_data_size": 4}) | {"datatype": "INT32"}
    items = tensor("item_id", [4], parameters={"binary_data_size": 32})
    text = json.dumps({"inputs": [user, items]} | parameters).encode()
    body = text + struct.pack("<i", 3) + struct.pack("<4q", *ITEMS)
    answer = gateway.post(INFER, body, Inference_Header_Content_Length=str(len(text)))
    assert answer.status == 200, answer.body
    if not parameters:
        assert answer.json["outputs"][0]["data"] == scores(client, 3, ITEMS)
        return
    size = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.body[:size])["outputs"]
    assert (output["parameters"], output["shape"]) == ({"binary_data_size": 16}, [4])
    assert list(struct.unpack("<4f", answer.body[size:])) == scores(client, 3, ITEMS)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": []}, "user_id: should be there once, got 0"),
        ({"inputs": [tensor("user_id", [1], [3])]}, "item_id: should be there once"),
        ({"inputs": [tensor("user_id", [1], [3]), tensor("item", [1], [3])]}, "no input 'item'"),
        (infer_request([3], [5, 10], [3]), "[3] should have as many elements as its data: 2"),
        (infer_request([3], [5], [-1]), "sizes of 0 or more, got [-1]"),
        (infer_request([3], [], [0]), "one candidate or more"),
        (infer_request([3, 6], [5, 10, 15], [3]), "got shape [2] for item_id of shape [3]"),
        ({"inputs": [tensor("user_id", [1], [3]), tensor("item_id", [1], ["5"])]}, 'integers of 64 bits, got "5"'),
        ({"inputs": [tensor("user_id", [1], [3]), tensor("item_id", [1])]}, "should have `data`"),
        (
            {"inputs": [tensor("user_id", [1], [3]), tensor("item_id", [1], [5]) | {"datatype": "FP32"}]},
            "INT32 or INT64, got 'FP32'",
        ),
        (infer_request([3], [5], [1]) | {"outputs": [{"name": "x"}]}, "no output 'x'"),
        (
            {"inputs": [tensor("item_id", [1], [5]), tensor("user_id", [1], parameters={"binary_data_size": 8})]},
            "0 to 0, the bytes left, got 8",
        ),
        ({}, "inputs"),
    ],
)
def test_refuses_to_infer(gateway: Gateway, body: dict[str, Any], words: str) -> None:
    answer = gateway.post(INFER, body)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert words in answer.json["error"]


def test_describes_itself_as_the_protocol_wants_it(gateway: Gateway) -> None:
    assert gateway.get("/v2").json["name"] == "rankserve"
    assert gateway.get("/v2/health/live").json == {"live": True}
    assert gateway.get("/v2/health/ready").json == {"ready": True}
    assert gateway.get("/v2/models/towers/ready").json == {"name": "towers", "ready": True}
    assert gateway.get("/v2/models/towers/versions/1/ready").json == {"name": "towers", "ready": True}
    described = gateway.get("/v2/models/towers").json
    assert (described["name"], described["versions"]) == ("towers", ["1", "2"])
    assert [each["name"] for each in described["inputs"] + described["outputs"]] == ["user_id", "item_id", "score"]


@pytest.mark.parametrize(
    ("inputs", "users", "shape"),
    [
        ({"user_id": 3, "item_id": ITEMS}, [3] * 4, [4]),
        ({"user_id": [3], "item_id": [ITEMS[:2], ITEMS[2:]]}, [3] * 4, [2, 2]),
        ({"user_id": [[3], [6]], "item_id": [ITEMS[:2], ITEMS[2:]]}, [3, 3, 6, 6], [2, 2]),
        ({"user_id": [3, 6, 3, 6], "item_id": ITEMS}, [3, 6, 3, 6], [4]),
    ],
)
def test_predicts_columns(
    gateway: Gateway, client: RankingClient, inputs: dict[str, Any], users: list[int], shape: list[int]
) -> None:
    flat = [scores(client, user, [item])[0] for user, item in zip(users, ITEMS, strict=True)]
    expected = [flat[:2], flat[2:]] if len(shape) == 2 else flat
    assert gateway.post(PREDICT, {"inputs": inputs}).json == {"outputs": expected}


def test_predicts_rows(gateway: Gateway, client: RankingClient) -> None:
    rows = [{"user_id": 3, "item_id": 5}, {"user_id": 6, "item_id": 450}]
    expected = [scores(client, 3, [5])[0], scores(client, 6, [450])[0]]
    assert gateway.post(PREDICT, {"instances": rows}).json == {"predictions": expected}
    wide = [{"user_id": [3], "item_id": [5, 10]}, {"user_id": [6], "item_id": [450, 7]}]
    answer = gateway.post(PREDICT, {"signature_name": "serving_default", "instances": wide}).json
    assert answer == {"predictions": [scores(client, 3, [5, 10]), scores(client, 6, [450, 7])]}


@pytest.mark.parametrize("place", ["versions/1", f"labels/{ALIAS}"])
def test_predicts_by_a_version(gateway: Gateway, client: RankingClient, place: str) -> None:
    answer = gateway.post(f"/v1/models/towers/{place}:predict", {"inputs": {"user_id": 3, "item_id": ITEMS}}).json
    assert answer == {"outputs": scores(client, 3, ITEMS, version=1)}


def test_scores_examples(gateway: Gateway, client: RankingClient) -> None:
    body = {"context": {"user_id": 3}, "examples": [{"item_id": 5}, {"item_id": [450]}, {"item_id": 7, "user_id": 6}]}
    expected = [*scores(client, 3, [5, 450]), *scores(client, 6, [7])]
    assert gateway.post("/v1/models/towers:regress", body).json == {"results": expected}
    classes = [[["5", expected[0]]], [["450", expected[1]]], [["7", expected[2]]]]
    assert gateway.post("/v1/models/towers:classify", body).json == {"results": classes}


def test_describes_versions_as_tf_serving_does(gateway: Gateway) -> None:
    good = {"error_code": "OK", "error_message": ""}
    versions = [{"version": version, "state": "AVAILABLE", "status": good} for version in ("2", "1")]
    assert gateway.get("/v1/models/towers").json == {"model_version_status": versions}
    assert gateway.get(f"/v1/models/towers/labels/{ALIAS}").json == {"model_version_status": versions[1:]}
    described = gateway.get("/v1/models/towers/versions/1/metadata").json
    assert described["model_spec"] == {"name": "towers", "signature_name": "", "version": "1"}
    signature = described["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert (list(signature["inputs"]), list(signature["outputs"])) == (["user_id", "item_id"], ["score"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "exactly one"),
        ({"instances": [], "inputs": {}}, "exactly one"),
        ({"instances": []}, "should have one or more"),
        ({"instances": [5]}, "instances[0]"),
        ({"instances": [{"user_id": 3}]}, "instances[0]: should have user_id and item_id"),
        ({"instances": [{"user_id": 3, "item_id": [5]}, {"user_id": 3, "item_id": [5, 10]}]}, "equal lengths"),
        ({"inputs": {"user_id": 3}}, "item_id: should be there once"),
        ({"inputs": {"user_id": 3, "item_id": [5, 1.5]}}, "got 1.5"),
        ({"inputs": {"user_id": 3, "item_id": [2**63]}}, "64 bits"),
        ({"inputs": {"user_id": 3, "item_id": []}}, "one candidate or more"),
        ({"inputs": {"user_id": 3, "item_id": 5}, "signature_name": "x"}, "got 'x'"),
        ({"inputs": {"user_id": 3, "item_id": 5}, "extra": 1}, "extra"),
        ({"inputs": {"user_id": list(range(30)), "item_id": [5] * 30}}, "20 are accepted"),
    ],
)
def test_refuses_to_predict(gateway: Gateway, body: dict[str, Any], words: str) -> None:
    answer = gateway.post(PREDICT, body)
    assert (answer.status, list(answer.json)) == (400, ["error"])
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/other"),
        ("GET", "/v1/models/towers/versions/9"),
        ("POST", "/v1/models/other:predict"),
        ("POST", "/v2/models/other/infer"),
        ("GET", "/v2/models/other"),
        ("GET", "/v2/models/towers/versions/9/ready"),
        ("GET", "/v2/nothing"),
    ],
)
def test_what_is_not_there(gateway: Gateway, method: str, path: str) -> None:
    body = {"inputs": {"user_id": 3, "item_id": 5}} if "predict" in path else infer_request([3], [5], [1])
    answer = gateway.call(method, path, json.dumps(body).encode() if method == "POST" else None)
    assert (answer.status, list(answer.json)) == (404, ["error"])
