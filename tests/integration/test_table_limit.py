"""A server whose tables do not all fit under the limit answers as any other."""

import grpc
import numpy as np
import pytest

from conftest import Scores, StartServer
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest
ITEMS = range(1, 1_683)


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (("--max-table-mib", "2"), "items ("),
        (("--max-table-mib", "0"), "users ("),
        (("--max-table-mib", "0", "--workers", "2"), "users ("),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_tables_that_are_not_folded(
    start_server: StartServer, keras_scores: Scores, flags: tuple[str, ...], kept: str
) -> None:
    server = start_server(*flags).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        for user in (1, 42, 943):
            request = Request(user_id=user, candidate_ids=ITEMS, order=ranking_pb2.ORDER_AS_SENT)
            scores = np.array(stub.Rank(request, timeout=10).scores, np.float32)
            np.testing.assert_allclose(scores, keras_scores[user, 1:], rtol=0, atol=1e-5)
            catalog = stub.Rank(Request(user_id=user, top_k=len(ITEMS)), timeout=10)
            assert list(catalog.scores) == [scores[item - 1] for item in catalog.item_ids]
            for item in (1, 1_000, 1_682):
                alone = stub.Rank(Request(user_id=user, candidate_ids=[item]), timeout=10)
                assert list(alone.scores) == [scores[item - 1]]
    lines = [line for line in server.errors.splitlines() if "--max-table-mib" in line]
    workers = 2 if "--workers" in flags else 1
    assert len(lines) == workers
    assert all(f"Embeddings are kept for {kept}" in line for line in lines)


def test_by_default_all_is_folded_and_nothing_said(start_server: StartServer) -> None:
    assert "--max-table-mib" not in start_server().wait_until_ready().errors
