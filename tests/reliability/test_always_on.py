"""Probes are answered whatever else the server is asked for, and whoever stays on the line."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from conftest import StartServer
from integration.process_figures import Figures
from integration.server_process import ServerProcess, running_server
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from reliability.generators import Generator, run

OPEN_CALLS = 300
SECONDS = float(os.environ.get("PROBED_SECONDS", "15"))
SHORT_SECONDS = 3.0
# The most that any probe takes. The server shares two processors with three times its load.
PROBE_SECONDS = 2.0
TIMES = 3.0
IN_FLIGHT = 64
CANDIDATES = 500
_LIST_REQUEST = health_pb2.HealthListRequest()  # type: ignore[attr-defined]  # its types are from before List
Status = health_pb2.HealthCheckResponse


class Probes:
    """Calls that have to be answered at any time."""

    def __init__(self, channel: grpc.Channel) -> None:
        health: Any = health_pb2_grpc.HealthStub(channel)
        models = models_pb2_grpc.ModelServiceStub(channel)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        services = reflection_pb2.ServerReflectionRequest(list_services="")
        self._calls: list[Callable[[], object]] = [
            lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS),
            lambda: next(health.Watch(health_pb2.HealthCheckRequest(), timeout=PROBE_SECONDS)),
            lambda: models.ListModels(models_pb2.ListModelsRequest(), timeout=PROBE_SECONDS),
            lambda: models.GetModel(models_pb2.GetModelRequest(), timeout=PROBE_SECONDS),
            lambda: list(reflection.ServerReflectionInfo(iter([services]), timeout=PROBE_SECONDS)),
        ]

    def run(self) -> float:
        """Makes each call once; returns how long the slowest took."""
        slowest = 0.0
        for call in self._calls:
            started = time.monotonic()
            call()
            slowest = max(slowest, time.monotonic() - started)
        return slowest


@pytest.fixture(scope="module", params=["direct", "aio"])
def server(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    errors = tmp_path_factory.mktemp("always-on") / "errors"
    with running_server(models_dir, errors, "--transport", request.param) as process:
        yield process


def test_calls_that_stay_open_hold_nobody_up(server: ServerProcess) -> None:
    before = Figures.of(server.pid).threads
    silent = threading.Event()

    def silence() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        silent.wait(60)
        yield from ()

    with grpc.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(OPEN_CALLS)]
        assert {next(watch).status for watch in watches} == {Status.SERVING}
        streams = [reflection.ServerReflectionInfo(silence(), timeout=60) for _ in range(OPEN_CALLS)]
        Probes(channel).run()
        request = ranking_pb2.RankRequest(top_k=1)
        assert len(ranking_pb2_grpc.RankingServiceStub(channel).Rank(request, timeout=10).item_ids) == 1
        assert Figures.of(server.pid).threads < before + OPEN_CALLS // 2
        for call in (*watches, *streams):
            call.cancel()
        silent.set()


def test_probes_are_answered_under_load(server: ServerProcess) -> None:
    probe_under_load(server, SHORT_SECONDS)


@pytest.mark.reliability
@pytest.mark.alone
def test_probes_are_answered_under_any_load(server: ServerProcess) -> None:
    probe_under_load(server, SECONDS)


def probe_under_load(server: ServerProcess, seconds: float) -> None:
    slowest = 0.0
    runs = 0
    # What it can answer on this machine, now.
    capacity = run(server.address, "closed", IN_FLIGHT, 1.0, CANDIDATES).goodput
    with (
        Generator(server.address, "open", TIMES * capacity, seconds, CANDIDATES) as generator,
        grpc.insecure_channel(server.address) as channel,
    ):
        probes = Probes(channel)
        while generator.running:
            slowest = max(slowest, probes.run())
            runs += 1
        outcome = generator.outcome()
    print(f"\n{runs} rounds of probes, the slowest call took {slowest:.3f} s; {outcome}", end="", flush=True)
    assert outcome.calls > 2 * capacity * seconds, "that was no load"
    assert runs > 1


@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_every_open_watch_is_told_and_then_ended(start_trained: StartServer, transport: str) -> None:
    # Without the grace, some would be ended before they have read what they are told.
    server = start_trained("--transport", transport, "--grace-seconds", "3").wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watches = [health.Watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(50)]
        assert {next(watch).status for watch in watches} == {Status.SERVING}
        server.signal(signal.SIGTERM)
        assert {next(watch).status for watch in watches} == {Status.NOT_SERVING}
        ended = server.wait()
        for watch in watches:
            with pytest.raises(grpc.RpcError) as caught:
                next(watch)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ended.code == 0
    assert "ERROR" not in ended.errors
    assert "Traceback" not in ended.errors


def test_list_names_every_service_model_and_version(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        listed = health.List(_LIST_REQUEST, timeout=10)
    names = ("", "rankserve.v1.RankingService", "movielens", "movielens/1")
    assert {name: status.status for name, status in listed.statuses.items()} == dict.fromkeys(names, Status.SERVING)
