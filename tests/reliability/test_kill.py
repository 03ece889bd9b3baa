"""SIGKILL at any moment of a server's life: the next start on the same port and models is a clean one."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import StartServer
from integration.server_process import ServerProcess, free_port
from rankserve_client import RankingClient
from reliability.generators import Generator
from reliability.test_worker_kill import workers_of

# Of a start: before and while it imports, while it loads, compiles and replays, and just ready.
DELAYS = (0.1, 0.3, 0.6, 0.9, 1.2, 1.5, 1.8, 2.2, 2.8, 3.5)
LOADED_SECONDS = 1.0
# The time that a worker has to finish what is in flight, and to end.
ORPHAN_SECONDS = 40.0
RATE = 3_000.0
CANDIDATES = 500


@pytest.mark.reliability
@pytest.mark.timeout(600)
@pytest.mark.parametrize("flags", [("--transport", "direct"), ("--transport", "aio"), ("--workers", "2")])
def test_clean_starts_after_kills(
    start_trained: StartServer, models_dir: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    kill_and_start(start_trained, models_dir, tmp_path, DELAYS, *flags)


def kill_and_start(
    start_trained: StartServer, models_dir: Path, tmp_path: Path, delays: tuple[float, ...], *flags: str
) -> None:
    """Kills a server after each delay, then one under load; the last one has to be as the first would have been."""
    port = free_port()
    before = files_of(models_dir)
    # Workers cannot share one.
    socket = None if "--workers" in flags else tmp_path / "admin.sock"
    admin = () if socket is None else ("--admin-address", f"unix:{socket}")

    def start() -> ServerProcess:
        server: ServerProcess = start_trained(*flags, *admin, port=port, forked=False)
        return server

    for delay in delays:
        server = start()
        time.sleep(delay)
        kill(server)
    killed_under_load(start)
    assert files_of(models_dir) == before
    started = time.monotonic()
    server = start().wait_until_ready()
    took = time.monotonic() - started
    with RankingClient(server.address) as client:
        assert client.rank(42, [204, 141, 131]).item_ids
    assert socket is None or socket.exists()
    ended = server.stop()
    assert ended.code == 0, ended.errors
    assert " ERROR " not in ended.errors, ended.errors
    assert socket is None or not socket.exists()
    print(f"\n{len(delays)} kills at start, one under load; the last start took {took:.1f} s", end="", flush=True)


def killed_under_load(start: Callable[[], ServerProcess]) -> None:
    server = start().wait_until_ready()
    with Generator(server.address, "open", RATE, 60, CANDIDATES):
        time.sleep(LOADED_SECONDS)
        kill(server)


def kill(server: ServerProcess) -> None:
    """Kills it; workers learn of that by themselves and end, as they would keep the port."""
    workers = workers_of(server)
    server.signal(signal.SIGKILL)
    assert server.process.wait() == -signal.SIGKILL, server.errors
    deadline = time.monotonic() + ORPHAN_SECONDS
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their supervisor"
        time.sleep(0.02)


def files_of(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
