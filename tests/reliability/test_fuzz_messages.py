"""Any request that is a message: each is answered rightly or refused for the right fields, by each call."""

import os
from collections import Counter
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from integration.server_process import ServerProcess
from integration.statuses import status_of
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from reliability.three_calls import answers_of
from reliability.wrong_fields import assert_right, is_served
from server.tower_requests import requests
from server.two_towers import Published

FEW = 150
MANY = int(os.environ.get("RELIABILITY_MESSAGES", "1000"))
RUN = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

_any_ids = st.one_of(st.sampled_from([0, -1, 2**63 - 1, -(2**63)]), st.integers(-(2**63), 2**63 - 1))
_any_enums = st.integers(-2, 5)
_any_floats = st.floats(width=32)
_any_names = st.text(max_size=5)
_selectors = st.builds(
    lambda name, choice: ranking_pb2.ModelSelector(name=name, **choice),
    name=st.one_of(st.sampled_from(["", "towers"]), _any_names),
    choice=st.one_of(
        st.just({}),
        st.sampled_from([0, 1, 2, -1, 2**63 - 1]).map(lambda version: {"version": version}),
        _any_names.map(lambda alias: {"alias": alias}),
    ),
)


@st.composite
def nearly_valid(draw: st.DrawFn) -> ranking_pb2.RankRequest:
    """A valid request, of which at most three fields are replaced by anything that the wire can hold."""
    request = draw(requests())
    replacements: dict[str, st.SearchStrategy[Any]] = {
        "user_id": _any_ids,
        "candidate_ids": st.lists(_any_ids, max_size=5),
        "top_k": st.sampled_from([-(2**31), -1, 0, 1, 10_000, 10_001, 2**31 - 1]),
        "exclude_ids": st.lists(_any_ids, max_size=5),
        "order": _any_enums,
        "unknown_user": _any_enums,
        "unknown_items": _any_enums,
        "rank_by": _any_enums,
        "include_titles": st.booleans(),
        "model": _selectors,  # twice as often as the others: it is what leads to NOT_FOUND
        "history": st.builds(
            ranking_pb2.History, item_ids=st.lists(_any_ids, max_size=4), ratings=st.lists(_any_floats, max_size=4)
        ),
        "user_features": st.dictionaries(st.sampled_from(["age", "gender", "zip", "", "\0"]), st.just("18")),
        "new_items": st.lists(
            st.builds(
                ranking_pb2.NewItem,
                item_id=st.sampled_from([0, 1, 2**63 - 1]),
                genres=st.lists(_any_names, max_size=2),
                year=st.sampled_from([0, -1, 1990, -(2**31), 2**31 - 1]),
            ),
            max_size=3,
        ),
    }
    for field in draw(st.lists(st.sampled_from([*sorted(replacements), "model"]), max_size=3, unique=True)):
        request.ClearField(field)  # type: ignore[arg-type]  # one of its fields
        request.MergeFrom(ranking_pb2.RankRequest(**{field: draw(replacements[field])}))
    return request


@pytest.mark.reliability
@pytest.mark.parametrize("count", [MANY])
def test_any_request_is_answered_rightly_or_refused_for_the_right_fields(
    server: ServerProcess, published: Published, count: int
) -> None:
    counts: Counter[str] = Counter()

    @seed(20260102)
    @settings(RUN, max_examples=count)
    @given(request=nearly_valid())
    def every(request: ranking_pb2.RankRequest) -> None:
        for call, answer in answers_of(stub, request).items():
            counts[f"{call} {assert_right(request, answer, published.towers)}"] += 1

    with grpc.insecure_channel(server.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        every()
    print(f"\n{counts.total():,} calls: {dict(sorted(counts.items()))}")
    assert counts.total() >= 3 * count
    for call in ("Rank", "BatchRank", "RankStream"):
        assert counts[f"{call} answered"] > count / 4
        assert counts[f"{call} refused"] > count / 8
        assert counts[f"{call} not found"] > count / 100


def test_any_model_that_is_asked_for_is_described_or_not_found(server: ServerProcess) -> None:
    counts: Counter[str] = Counter()

    @seed(20260102)
    @settings(RUN, max_examples=FEW)
    @given(selector=_selectors)
    def every(selector: ranking_pb2.ModelSelector) -> None:
        try:
            answer = stub.GetModel(models_pb2.GetModelRequest(model=selector), timeout=30)
        except grpc.RpcError as error:
            status = status_of(error)
            assert status.code == code_pb2.NOT_FOUND, status
            assert not is_served(selector), selector
            counts["not found"] += 1
        else:
            assert is_served(selector), selector
            assert (answer.model.name, answer.model.version) == ("towers", 1)
            counts["described"] += 1

    with grpc.insecure_channel(server.address) as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        every()
    print(f"\n{dict(counts)}")
    assert counts.total() >= FEW / 2
    assert counts["described"] > 3
    assert counts["not found"] > FEW / 2
