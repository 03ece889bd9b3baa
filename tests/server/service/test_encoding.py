"""Responses that are put together by hand, against what protobuf itself makes of them."""

from dataclasses import replace

import numpy as np
import pytest

from rankserve.v1 import ranking_pb2
from rankserve_server.limits import Limits
from rankserve_server.ranking import Plan
from rankserve_server.service.conversion import query_of, response_of
from rankserve_server.service.encoding import ResponseEncoder
from rankserve_training.artifact import Catalog
from server.fake_engine import FakeEngine
from server.small_model import small_model

Request = ranking_pb2.RankRequest
EDGES = [1, 2, 127, 128, 16_383, 16_384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**56 - 1, 2**56, 2**63 - 1]


@pytest.mark.parametrize("count", range(1, len(EDGES) + 1))
@pytest.mark.parametrize("titles", [False, True])
@pytest.mark.parametrize("candidates", [None, [1], [2, 1, 2], [7, 1, -1, 2**63 - 1, 7], [-5]])
@pytest.mark.parametrize("user", [2, 77])
def test_ids_of_every_length(count: int, titles: bool, candidates: list[int] | None, user: int) -> None:
    catalog = Catalog(np.array(EDGES[:count], np.int64), [f"Täitle {place}" for place in range(count)], [()] * count)
    model = replace(small_model(), catalog=catalog, engine=FakeEngine(count))
    encoder = ResponseEncoder(model)
    for top_k in (1, 2, 100):
        request = Request(user_id=user, candidate_ids=candidates or [], top_k=top_k, include_titles=titles)
        plan = Plan(query_of(request, Limits()), model)
        ranking = plan.finish(np.linspace(-1, 6, plan.count, dtype=np.float32))
        encoded = encoder.encode(ranking)
        expected = response_of(ranking, model)
        assert ranking_pb2.RankResponse.FromString(encoded) == expected
        assert list(expected.scores) == ranking.scores.tolist()


def test_an_empty_answer_is_one() -> None:
    model = small_model()
    request = Request(user_id=9, candidate_ids=[1], exclude_seen=True)
    plan = Plan(query_of(request, Limits()), model)
    ranking = plan.finish(np.zeros(0, np.float32))
    response = ranking_pb2.RankResponse.FromString(ResponseEncoder(model).encode(ranking))
    assert response == ranking_pb2.RankResponse(
        user_known=True, user_basis=ranking_pb2.USER_BASIS_KNOWN, model_name="small", model_version=3
    )
