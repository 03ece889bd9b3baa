"""How a server ends, at any moment: real processes and signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import StartServer
from integration.command_forks import run_forked
from integration.server_process import RANKSERVE, ServerProcess
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.notify import Notifier

REQUEST = ranking_pb2.RankRequest(candidate_ids=[1])
Status = health_pb2.HealthCheckResponse
GRACE = 3.0
# Beside what it is told to wait, on a busy machine.
SOON = 20.0


@pytest.mark.parametrize("flags", [("--transport", "direct"), ("--transport", "aio"), ("--workers", "2")])
def test_new_calls_are_answered_while_load_balancers_are_told(
    start_server: StartServer, flags: tuple[str, ...]
) -> None:
    server = start_server(*flags, "--grace-seconds", str(GRACE)).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == Status.SERVING
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        assert next(watch).status == Status.NOT_SERVING
        assert time.monotonic() - started < GRACE - 1
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        while time.monotonic() < started + GRACE - 1:
            assert list(stub.Rank(REQUEST, timeout=30).item_ids) == [1]
            assert health.Check(health_pb2.HealthCheckRequest(), timeout=30).status == Status.NOT_SERVING
            time.sleep(0.05)
        ended = server.wait()
        assert GRACE <= time.monotonic() - started < GRACE + SOON
        with pytest.raises(grpc.RpcError) as caught:
            stub.Rank(REQUEST, timeout=1)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (ended.code, ended.output) == (0, "")
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("flags", [("--transport", "direct"), ("--workers", "2")])
def test_a_second_signal_ends_the_wait(start_server: StartServer, flags: tuple[str, ...]) -> None:
    server = start_server(*flags, "--grace-seconds", "60").wait_until_ready()
    server.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert server.process.poll() is None
    started = time.monotonic()
    server.signal(signal.SIGTERM)
    ended = server.wait()
    assert time.monotonic() - started < SOON
    assert ended.code == 0


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "delays", [(0.0, 0.4, 1.1), pytest.param((0.2, 0.7, 1.7), marks=pytest.mark.reliability)], ids=str
)
def test_a_signal_at_any_moment_of_its_start(
    models_dir: Path, number: signal.Signals, workers: str, delays: tuple[float, ...]
) -> None:
    """From when our own code runs: before, Python starts."""
    for delay in delays:
        process = subprocess.Popen(
            [RANKSERVE, "serve", "--models-dir", models_dir, "--port", "0", "--workers", workers],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until_handled(process.pid, signal.SIGTERM)  # set by us, after SIGINT
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, (delay, errors)
        assert "Traceback" not in errors, delay


def wait_until_handled(pid: int, number: signal.Signals) -> None:
    """Until a process has a handler of its own for a signal, by what the kernel says; before its long imports."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        imported = "jaxlib" in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        if int(caught, 16) >> (number - 1) & 1:
            return
        assert not imported, f"{number.name} has no handler while it imports"
        time.sleep(0.002)
    raise AssertionError(f"{number.name} has no handler")


@pytest.mark.parametrize("flag", ["--drain-seconds", "--grace-seconds", "--max-connection-age-seconds"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
def test_seconds_that_are_none(models_dir: Path, flag: str, value: str) -> None:
    ended = run_forked("serve", "--models-dir", str(models_dir), flag, value)
    assert ended.returncode == 2
    assert f"Error: Invalid value for '{flag}': " in ended.stderr
    assert "Traceback" not in ended.stderr


class Systemd:
    """The end of the socket that systemd listens on."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        self._socket.settimeout(60)

    def next(self) -> str:
        """Waits for what comes next."""
        return self._socket.recv(4_096).decode()

    def rest(self) -> list[str]:
        """What has come and was not looked at."""
        self._socket.settimeout(0.5)
        states = []
        while True:
            try:
                states.append(self.next())
            except TimeoutError:
                return states

    def close(self) -> None:
        self._socket.close()


@contextmanager
def _served(models_dir: Path, tmp_path: Path, environment: dict[str, str], *flags: str) -> Iterator[ServerProcess]:
    arguments = ("--models-dir", str(models_dir), "--port", "0", *flags)
    server = ServerProcess(*arguments, errors=tmp_path / "errors", env={**os.environ, **environment}, forked=True)
    try:
        yield server.wait_until_ready()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (("--transport", "direct"), "path"),
        (("--transport", "direct"), "abstract"),
        (("--transport", "aio"), "path"),
        (("--workers", "2"), "abstract"),
    ],
)
def test_systemd_is_told(models_dir: Path, tmp_path: Path, flags: tuple[str, ...], kind: str) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@rankserve-{os.getpid()}-{time.monotonic_ns()}"
    systemd = Systemd(address)
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
    with _served(models_dir, tmp_path, environment, *flags) as server:
        assert systemd.next() == "READY=1"
        assert [systemd.next() for _ in range(4)] == ["WATCHDOG=1"] * 4
        assert server.stop().code == 0
    states = systemd.rest()
    assert states.count("STOPPING=1") == 1
    assert set(states) <= {"STOPPING=1", "WATCHDOG=1"}
    systemd.close()


async def test_what_hangs_does_not_ping(tmp_path: Path) -> None:
    import asyncio

    address = str(tmp_path / "notify")
    systemd = Systemd(address)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"})
    async with notifier.watched(lambda: 7):
        await asyncio.sleep(0.2)
    assert systemd.rest() == ["WATCHDOG=1"]
    turns = iter(range(1_000))
    async with notifier.watched(lambda: next(turns)):
        await asyncio.sleep(0.2)
    assert len(systemd.rest()) > 2
    systemd.close()


def test_a_watchdog_of_another_process_is_none_of_ours() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"}
    assert Notifier(environment).watchdog_seconds == 0.5
    assert Notifier({**environment, "WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 0.5
    assert Notifier({**environment, "WATCHDOG_PID": "1"}).watchdog_seconds is None
    Notifier(environment).send("READY=1")  # nobody listens, and nothing happens
    assert sys.exc_info() == (None, None, None)
