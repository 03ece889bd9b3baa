"""Whatever is asked for, nothing compiles once the server is ready."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from conftest import StartServer
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest


def mixed_requests(seed: int) -> Iterator[ranking_pb2.RankRequest]:
    """Of every kind, and of every size on a logarithmic scale."""
    random = np.random.default_rng(seed)
    while True:
        user = int(random.integers(-5, 1_200))
        count = int(np.exp(random.uniform(0, np.log(10_000))))
        yield Request(user_id=user, candidate_ids=random.integers(-9, 1_800, count).tolist())
        yield Request(user_id=user, top_k=int(random.integers(1, 2_000)), exclude_seen=True)
        yield Request(
            user_id=user,
            candidate_ids=random.integers(1, 1_800, 1 + count // 10).tolist(),
            unknown_items=ranking_pb2.UNKNOWN_ITEMS_OMIT,
            order=ranking_pb2.ORDER_AS_SENT,
            top_k=5,
        )


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("transport", [pytest.param("aio", marks=pytest.mark.reliability), "direct"])
def test_nothing_compiles_under_mixed_traffic(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    # Not forked: JAX has to read that as it is imported.
    server = start_server("--transport", transport, forked=False).wait_until_ready()
    loading = server.errors
    assert compilations(loading) > 10, "compilations would not have been seen"

    def call(seed: int) -> None:
        requests = mixed_requests(seed)
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            for _ in range(10):
                for request in itertools.islice(requests, 10):
                    stub.Rank(request, timeout=30)
                batch = ranking_pb2.BatchRankRequest(requests=itertools.islice(requests, 6))
                stub.BatchRank(batch, timeout=30)
                list(stub.RankStream(itertools.islice(requests, 6), timeout=30))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert server.stop().errors == loading


def compilations(errors: str) -> int:
    return errors.count("Finished XLA compilation")
