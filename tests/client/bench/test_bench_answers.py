from typing import Any

import pytest

from rankserve.v1 import ranking_pb2
from rankserve_client.bench.answers import fault_of, parse
from rankserve_client.bench.workload import Request


def request(**changes: Any) -> Request:
    arguments: dict[str, Any] = {"payload": b"", "candidates": frozenset({1, 2, 3}), "top_k": 3}
    return Request(**{**arguments, "model": None, "version": None, **changes})


def response(**changes: Any) -> ranking_pb2.RankResponse:
    arguments: dict[str, Any] = {"item_ids": [3, 1, 2], "scores": [4.5, 3, 3], "user_known": True}
    return ranking_pb2.RankResponse(**{**arguments, "model_name": "m", "model_version": 7, **changes})


def test_right_answers() -> None:
    assert fault_of(request(), response()) is None
    assert fault_of(request(top_k=2), response(item_ids=[3, 1], scores=[4.5, 3])) is None
    assert fault_of(request(model="m", version=7), response()) is None
    assert fault_of(request(), response(scores=[0, -1, -2])) is None


@pytest.mark.parametrize(
    ("fault", "wrong"),
    [
        ("count", response(item_ids=[3, 1], scores=[4.5, 3])),
        ("count", response(item_ids=[3, 1, 2, 4], scores=[4, 3, 2, 1])),
        ("count", ranking_pb2.RankResponse()),
        ("items", response(item_ids=[3, 1, 1])),
        ("items", response(item_ids=[3, 1, 9])),
        ("scores", response(scores=[4.5, 3])),
        ("scores", response(scores=[])),
        ("not_finite", response(scores=[float("inf"), 3, 2])),
        ("not_finite", response(scores=[float("nan"), 3, 2])),
        ("not_finite", response(scores=[float("inf"), 0, float("-inf")])),
        ("order", response(scores=[3, 4.5, 3])),
    ],
)
def test_wrong_answers(fault: str, wrong: ranking_pb2.RankResponse) -> None:
    assert fault_of(request(), wrong) == fault


def test_top_k_has_to_be_kept() -> None:
    assert fault_of(request(top_k=2), response()) == "count"


@pytest.mark.parametrize("asked", [{"model": "other"}, {"version": 8}, {"model": "m", "version": 8}])
def test_another_model_is_wrong(asked: dict[str, Any]) -> None:
    assert fault_of(request(**asked), response()) == "model"


def test_bytes_that_are_no_answer() -> None:
    assert parse(b"\xff\xff\xff") is None
    assert parse(response().SerializeToString()) == response()
