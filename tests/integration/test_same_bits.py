"""The same request gets the same bits: from each call, in whatever company, and on either transport."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from conftest import StartServer
from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest
CALLERS = 32

REQUESTS = [
    Request(user_id=42, candidate_ids=[204, 141, 131], include_titles=True),
    Request(user_id=1, candidate_ids=range(1, 1_001)),
    Request(user_id=943, top_k=100, exclude_seen=True),
    Request(user_id=7, top_k=1_682),
    Request(user_id=5_000, candidate_ids=[*range(1_000, 2_000), -3]),
    Request(user_id=3, candidate_ids=[9] * 5_000),
    Request(user_id=11, candidate_ids=[1]),
    Request(user_id=12, candidate_ids=range(1_682, 0, -1), order=ranking_pb2.ORDER_AS_SENT),
]


def others(seed: int) -> Iterator[ranking_pb2.RankRequest]:
    """The company."""
    random = np.random.default_rng(seed)
    while True:
        count = int(random.choice([1, 3, 30, 300, 3_000]))
        yield Request(user_id=int(random.integers(0, 1_000)), candidate_ids=random.integers(0, 1_700, count).tolist())


@pytest.fixture
def alone(stub: ranking_pb2_grpc.RankingServiceStub) -> list[bytes]:
    """Each answer, with nothing else to do."""
    return [encoded(stub.Rank(request, timeout=10)) for request in REQUESTS]


def encoded(response: ranking_pb2.RankResponse) -> bytes:
    return response.SerializeToString(deterministic=True)


def test_from_each_call(stub: ranking_pb2_grpc.RankingServiceStub, alone: list[bytes]) -> None:
    assert len({*alone}) == len(REQUESTS)
    assert [encoded(stub.Rank(request, timeout=10)) for request in REQUESTS] == alone
    batch = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=REQUESTS), timeout=10)
    assert [encoded(response) for response in batch.responses] == alone
    backwards = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=REQUESTS[::-1]), timeout=10)
    assert [encoded(response) for response in backwards.responses] == alone[::-1]
    assert [encoded(response) for response in stub.RankStream(iter(REQUESTS), timeout=10)] == alone


def test_in_the_company_of_many_callers(server: ServerProcess, alone: list[bytes]) -> None:
    def call(seed: int) -> None:
        company = others(seed)
        # A connection of its own, so that the calls do not come one after the other.
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            for number in range(4):
                place = (seed + number) % len(REQUESTS)
                stub.Rank(next(company), timeout=30)
                assert encoded(stub.Rank(REQUESTS[place], timeout=30)) == alone[place]
                mixed = [next(company), REQUESTS[place], next(company), REQUESTS[place - 1]]
                batch = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=mixed), timeout=30).responses
                streamed = list(stub.RankStream(iter(mixed), timeout=30))
                for answers in (batch, streamed):
                    assert [encoded(answers[1]), encoded(answers[3])] == [alone[place], alone[place - 1]]

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLERS)))


def test_a_batch_of_everything_at_once(stub: ranking_pb2_grpc.RankingServiceStub, alone: list[bytes]) -> None:
    company = list(itertools.islice(others(1), 60))
    requests = [request for other in company for request in (other, REQUESTS[0])]
    responses = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=requests), timeout=30).responses
    assert {encoded(response) for response in responses[1::2]} == {alone[0]}


def test_from_any_worker(start_server: StartServer, alone: list[bytes]) -> None:
    server = start_server("--workers", "2").wait_until_ready()
    # The kernel gives each connection to either worker.
    for _ in range(16):
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            assert [encoded(stub.Rank(request, timeout=10)) for request in REQUESTS] == alone


_by_transport: dict[str, list[bytes]] = {}


def test_on_either_transport(server: ServerProcess, alone: list[bytes]) -> None:
    """Runs once for each; whichever comes second compares."""
    _by_transport[server.address] = alone
    assert len({tuple(answers) for answers in _by_transport.values()}) == 1
