"""Workers that are killed under load: the client's retries hide it, and the supervisor starts others."""

import os
import signal
import time
from pathlib import Path

import pytest

from conftest import StartServer
from integration.server_process import ServerProcess
from reliability.callers import Callers

SECONDS = float(os.environ.get("WORKER_KILL_SECONDS", "30"))
CALLERS = 6
WORKERS = 2
RESTORED_SECONDS = 60.0


@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_killed_workers_are_not_noticed(start_trained: StartServer) -> None:
    kill_workers(start_trained("--workers", str(WORKERS)).wait_until_ready(), SECONDS)


def kill_workers(server: ServerProcess, seconds: float) -> None:
    """One after the other, each once the one before is replaced."""
    killed = 0
    with Callers(server.address, CALLERS) as callers:
        until = time.monotonic() + seconds
        while time.monotonic() < until or not killed:
            before = callers.answered
            os.kill(workers_of(server)[0], signal.SIGKILL)
            killed += 1
            time.sleep(1.0)
            wait_for_workers(server)
            assert callers.answered > before
    print(f"\n{killed} workers killed, {callers.answered} calls answered, failed: {callers.failed}", end="", flush=True)
    assert not callers.failed
    ended = server.stop()
    assert ended.code == 0
    assert ended.errors.count("ended with -9") == killed


def workers_of(server: ServerProcess) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in children.split()]


def wait_for_workers(server: ServerProcess) -> None:
    """Until as many as before listen on the port."""
    deadline = time.monotonic() + RESTORED_SECONDS
    while sum(map(is_listening, workers_of(server))) < WORKERS:
        assert time.monotonic() < deadline, server.errors
        time.sleep(0.05)


def is_listening(pid: int) -> bool:
    """Whether a worker has a listening socket, by what the kernel says of its files."""
    listening = {
        fields[9]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")  # gRPC listens to both on one
        for line in Path(table).read_text(encoding="utf-8").splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }
    try:
        links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115, sockets are no paths
    except OSError:
        return False
    return any(link.startswith("socket:[") and link[8:-1] in listening for link in links)
