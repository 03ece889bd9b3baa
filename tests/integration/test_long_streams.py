"""RankStream with many requests, slow readers and clients that vanish."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub

Request = ranking_pb2.RankRequest


def numbered(count: int | None = None, candidates: int = 100) -> Iterator[ranking_pb2.RankRequest]:
    """Requests whose answers tell them apart."""
    numbers = itertools.count(10_000) if count is None else range(10_000, 10_000 + count)
    return (Request(user_id=number, candidate_ids=[number, *range(1, candidates)]) for number in numbers)


def resident_megabytes(server: ServerProcess) -> float:
    pages = int(Path(f"/proc/{server.pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_reader_that_takes_nothing_stops_the_reading_and_loses_nothing(
    server: ServerProcess, stub: RankingServiceStub
) -> None:
    before = resident_megabytes(server)
    sent = 0
    last = threading.Event()

    def requests() -> Iterator[ranking_pb2.RankRequest]:
        nonlocal sent
        for request in numbered(candidates=1_600):
            if last.is_set():
                return
            sent += 1
            yield request

    stream = stub.RankStream(requests(), timeout=120)
    responses = [next(stream)]
    # What the core buffers by itself grows with the speed of the connection, so only that there is an end is certain.
    wait_until_unchanged(lambda: sent)
    assert resident_megabytes(server) - before < 100
    assert list(stub.Rank(Request(candidate_ids=[1]), timeout=10).item_ids) == [1], "others are answered meanwhile"
    last.set()
    responses += stream
    assert [response.unknown_item_ids[0] for response in responses] == list(range(10_000, 10_000 + sent))


def wait_until_unchanged(number: Callable[[], int], seconds: float = 1.0, limit: float = 60.0) -> None:
    """Waits until a number has stayed the same for some time."""
    until = time.monotonic() + limit
    seen, since = number(), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < until, f"it still reads, after {seen} requests"
        time.sleep(0.05)
        if (now := number()) != seen:
            seen, since = now, time.monotonic()


def test_clients_that_vanish_leave_nothing_behind(server: ServerProcess) -> None:
    for _ in range(20):
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stream = RankingServiceStub(channel).RankStream(numbered(), timeout=60)
            assert [next(stream).user_known for _ in range(3)] == [False] * 3
    with grpc.insecure_channel(server.address) as channel:
        started = time.monotonic()
        assert len(RankingServiceStub(channel).Rank(Request(top_k=5), timeout=10).item_ids) == 5
        assert time.monotonic() - started < 2
    used = cpu_seconds(server)
    time.sleep(0.3)
    assert cpu_seconds(server) - used < 0.2, "it still works for somebody"


def test_a_stream_survives_what_its_requests_do(stub: RankingServiceStub) -> None:
    broken = Request(candidate_ids=range(10_001))
    requests = [request for good in numbered(50) for request in (good, broken)]
    responses = list(stub.RankStream(iter(requests), timeout=30))
    assert [response.HasField("error") for response in responses] == [False, True] * 50
    assert {response.error.message for response in responses[1::2]} == {
        "candidate_ids: at most 10000 are accepted, got 10001"
    }


def test_a_stream_can_be_cancelled_at_any_moment(stub: RankingServiceStub) -> None:
    for taken in range(5):
        stream = stub.RankStream(numbered(), timeout=30)
        for _ in range(taken):
            next(stream)
        stream.cancel()
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is grpc.StatusCode.CANCELLED


def cpu_seconds(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
