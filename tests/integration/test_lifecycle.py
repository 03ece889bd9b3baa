"""A server's life as its operator sees it: real processes, real signals, exit codes, and what is printed where."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import StartServer
from integration.server_process import ServerProcess, free_port, wait_for_port
from integration.versions import copy_version
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest
Status = health_pb2.HealthCheckResponse
STOPS = [signal.SIGTERM, signal.SIGINT]
# Far below the drain time of 30 seconds.
SOON = 15.0


@pytest.fixture
def many_models(models_dir: Path, tmp_path: Path) -> Path:
    """Takes far longer to load than any test waits."""
    directory = tmp_path / "models"
    for number in range(20):
        copy_version(models_dir / "movielens" / "1", directory, f"model-{number:02}", 1)
    return directory


class Load:
    """Callers that never pause, on connections of their own; counts how their calls end."""

    def __init__(self, address: str, callers: int) -> None:
        self.answered = 0
        self.failed: list[grpc.StatusCode] = []
        self._address = address
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(callers)
        self._callers = [self._pool.submit(self._call) for _ in range(callers)]

    def wait_for_answers(self, count: int) -> None:
        deadline = time.monotonic() + 30
        while self.answered < count:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self) -> None:
        self._ended.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def _call(self) -> None:
        request = Request(user_id=42, candidate_ids=range(1, 1_001))
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        with grpc.insecure_channel(self._address, options) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            while not self._ended.is_set():
                call = stub.Rank.future(request, timeout=20)
                if call.code() is not grpc.StatusCode.OK:
                    self.failed.append(call.code())
                    return
                assert len(call.result().item_ids) == 1_000
                self.answered += 1


@pytest.mark.parametrize(("transport", "number"), [("aio", signal.SIGINT), ("direct", signal.SIGTERM)])
def test_a_signal_ends_an_idle_server(start_server: StartServer, transport: str, number: signal.Signals) -> None:
    server = start_server("--transport", transport).wait_until_ready()
    assert server.served == "movielens/1 (943 users, 1,682 items)"
    maps = Path(f"/proc/{server.pid}/maps").read_text(encoding="utf-8")
    assert "jaxlib" in maps
    assert "tensorflow" not in maps
    started = time.monotonic()
    server.signal(number)
    ended = server.wait()
    assert time.monotonic() - started < SOON
    assert (ended.code, ended.output) == (0, "")
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_calls_in_flight_are_answered_and_new_ones_told_to_go_elsewhere(
    start_server: StartServer, transport: str
) -> None:
    server = start_server("--transport", transport).wait_until_ready()
    load = Load(server.address, callers=16)
    load.wait_for_answers(100)
    server.signal(signal.SIGTERM)
    ended = server.wait()
    load.end()
    assert ended.code == 0
    assert len(load.failed) == 16
    assert set(load.failed) == {grpc.StatusCode.UNAVAILABLE}
    assert "requests in flight" not in ended.errors
    assert "Traceback" not in ended.errors


def test_open_streams_and_watches_are_ended(start_server: StartServer) -> None:
    server = start_server().wait_until_ready()
    silent = threading.Event()

    def requests() -> Iterator[ranking_pb2.RankRequest]:
        yield Request(candidate_ids=[1])
        silent.wait(30)

    with grpc.insecure_channel(server.address) as channel:
        stream = ranking_pb2_grpc.RankingServiceStub(channel).RankStream(requests())
        assert list(next(stream).item_ids) == [1]
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == Status.SERVING
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert next(watch).status == Status.NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        ended = server.wait()
        assert time.monotonic() - started < SOON
        silent.set()
    assert (ended.code, ended.output) == (0, "")


def test_health_says_when_it_is_ready(start_server: StartServer) -> None:
    port = free_port()
    server = start_server(port=port)
    wait_for_port(port)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        assert next(watch).status == Status.NOT_SERVING
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Rank(Request(candidate_ids=[1]), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert next(watch).status == Status.SERVING
        assert list(stub.Rank(Request(candidate_ids=[1]), timeout=10).item_ids) == [1]
        watch.cancel()
    assert server.wait_until_ready().address == f"127.0.0.1:{port}"


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_a_server_that_loads(
    start_server: StartServer, many_models: Path, number: signal.Signals
) -> None:
    port = free_port()
    server = start_server(models=many_models, port=port)
    wait_for_port(port)
    started = time.monotonic()
    server.signal(number)
    ended = server.wait()
    assert time.monotonic() - started < SOON
    assert (ended.code, ended.output) == (0, "")
    assert "Traceback" not in ended.errors


def test_a_server_killed_while_it_loads_leaves_the_models_as_they_were(
    start_server: StartServer, models_dir: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    version = copy_version(models_dir / "movielens" / "1", models, "movielens", 1)
    before = {path.name: path.read_bytes() for path in version.iterdir()}
    port = free_port()
    server = start_server(models=models, port=port)
    wait_for_port(port)
    with socket.create_connection(("127.0.0.1", port)):  # the server closes it, and it lingers in the kernel
        server.signal(signal.SIGKILL)
        assert server.wait().code == -signal.SIGKILL
    assert {path.name: path.read_bytes() for path in version.iterdir()} == before
    assert [path.name for path in models.rglob("*") if path.is_dir()] == ["movielens", "1"]
    again = start_server(models=models, port=port).wait_until_ready()  # the port is free again, too
    assert again.process.stdout is not None
    again.process.stdout.close()  # a reader of the ready line that goes does no harm
    assert is_answered(again)
    again.signal(signal.SIGTERM)
    assert again.process.wait(30) == 0


def test_several_workers_share_a_port_and_a_dead_one_is_replaced(start_server: StartServer) -> None:
    server = start_server("--workers", "2").wait_until_ready()
    assert server.served == "movielens/1 (943 users, 1,682 items), 2 workers"
    first, second = children(server.pid)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while len(children(server.pid)) < 2 or first in children(server.pid):
        assert time.monotonic() < deadline, server.errors
        time.sleep(0.05)
    assert second in children(server.pid)
    workers = children(server.pid)
    assert all(is_answered(server) for _ in range(20))
    ended = server.stop()
    assert (ended.code, ended.output) == (0, "")
    assert f"Worker {first} ended with -9" in ended.errors
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def is_answered(server: ServerProcess) -> bool:
    """On a connection of its own."""
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        response = ranking_pb2_grpc.RankingServiceStub(channel).Rank(Request(top_k=1), timeout=10)
    return len(response.item_ids) == 1


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()))


def test_a_worker_that_hangs_does_not_keep_the_others(start_server: StartServer) -> None:
    server = start_server("--workers", "2", "--drain-seconds", "0").wait_until_ready()
    hung = children(server.pid)[0]
    os.kill(hung, signal.SIGSTOP)
    ended = server.stop()
    assert ended.code == 0
    assert f"Worker {hung} does not end; it is killed." in ended.errors
    assert not Path(f"/proc/{hung}").exists()


def test_a_quiet_server_prints_nothing(start_server: StartServer) -> None:
    port = free_port()
    server = start_server("--quiet", port=port)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # its types lack Watch
        watched = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=120)
        assert any(answer.status == Status.SERVING for answer in watched)
        watched.cancel()
    ended = server.stop()
    assert (ended.code, ended.output, ended.errors) == (0, "", "")
