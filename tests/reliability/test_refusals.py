"""What a client is told that comes when there is too much to do, and what it makes of that."""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2

from conftest import StartServer
from integration.server_process import ServerProcess, running_server
from integration.statuses import only_detail, status_of
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest
PUSHBACK = "grpc-retry-pushback-ms"
# Some milliseconds of work each; several are under way at any time, so that the queue is hardly ever empty.
LARGE = Request(user_id=42, candidate_ids=list(itertools.islice(itertools.cycle(range(1, 1_683)), 10_000)))
SMALL = Request(user_id=42, candidate_ids=[204])
CALLERS = 8


@pytest.fixture(scope="module", params=["direct", "aio"])
def narrow(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """A server whose queue has room for one candidate more than none."""
    errors = tmp_path_factory.mktemp("narrow") / "errors"
    with running_server(models_dir, errors, "--transport", request.param, "--max-queued-candidates", "1") as server:
        yield server


@pytest.fixture
def full(narrow: ServerProcess) -> Iterator[ServerProcess]:
    """The same, and others who fill it."""
    with _filled(narrow):
        yield narrow


@contextmanager
def _filled(server: ServerProcess) -> Iterator[None]:
    ended = threading.Event()

    def fill() -> None:
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            while not ended.is_set():
                stub.Rank.future(LARGE, timeout=10).code()

    callers = [threading.Thread(target=fill) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        ended.set()
        for caller in callers:
            caller.join()


def refused(stub: ranking_pb2_grpc.RankingServiceStub, method: str = "Rank") -> grpc.RpcError:
    """The first refusal; some calls come when there is room."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if method == "Rank":
                stub.Rank(SMALL, timeout=10)
            else:
                stub.BatchRank(ranking_pb2.BatchRankRequest(requests=[SMALL]), timeout=10)
        except grpc.RpcError as error:
            return error
    raise AssertionError("nothing was refused")


@pytest.mark.parametrize("method", ["Rank", "BatchRank"])
def test_a_refusal_says_when_to_come_back(full: ServerProcess, method: str) -> None:
    with grpc.insecure_channel(full.address, [("grpc.enable_retries", 0)]) as channel:
        error = refused(ranking_pb2_grpc.RankingServiceStub(channel), method)
    assert isinstance(error, grpc.Call)
    status = status_of(error)
    assert status.code == code_pb2.RESOURCE_EXHAUSTED
    assert "try again later" in status.message
    delay = only_detail(status.details, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds()
    trailers = dict(error.trailing_metadata() or ())
    assert trailers[PUSHBACK] == str(delay)
    assert 1 <= delay < 10_000


def test_a_refused_request_of_a_stream_says_so_too(full: ServerProcess) -> None:
    with grpc.insecure_channel(full.address) as channel:
        responses = ranking_pb2_grpc.RankingServiceStub(channel).RankStream(iter([SMALL] * 2_000), timeout=60)
        errors = [response.error for response in responses if response.HasField("error")]
    assert errors
    assert {error.code for error in errors} == {code_pb2.RESOURCE_EXHAUSTED}
    assert only_detail(errors[0].details, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() >= 1


def test_a_client_that_retries_comes_back_when_it_is_told(full: ServerProcess) -> None:
    """Its own backoff is a minute, far over its deadline: only the server's word brings it back before."""
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "60s",
        "maxBackoff": "60s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
    }
    config = {"methodConfig": [{"name": [{"service": "rankserve.v1.RankingService"}], "retryPolicy": policy}]}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(full.address, options) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        codes = {stub.Rank.future(SMALL, timeout=20).code() for _ in range(20)}
    # Some have no luck five times.
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_what_cannot_be_done_by_its_deadline_is_refused_before_it(start_trained: StartServer, transport: str) -> None:
    server = start_trained("--transport", transport).wait_until_ready()
    with _filled(server), grpc.insecure_channel(server.address, [("grpc.enable_retries", 0)]) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        messages: set[str] = set()
        until = time.monotonic() + 30
        while time.monotonic() < until and not any("the deadline is in" in message for message in messages):
            try:
                stub.Rank(LARGE, timeout=0.02)
            except grpc.RpcError as error:
                messages.add(str(error))
    assert any("the wait is" in message and "the deadline is in" in message for message in messages), messages


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_what_would_wait_too_long_is_refused(start_trained: StartServer, transport: str) -> None:
    server = start_trained("--transport", transport, "--max-queue-ms", "1").wait_until_ready()
    with _filled(server), grpc.insecure_channel(server.address, [("grpc.enable_retries", 0)]) as channel:
        error = refused(ranking_pb2_grpc.RankingServiceStub(channel))
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "ms are accepted" in (error.details() or "")
