"""A server among clients that cancel, give up, close their channels and are killed."""

import random
import time

import pytest

from conftest import StartServer
from integration.client_processes import ClientProcess
from integration.process_figures import Figures
from rankserve_client import RankingClient

# Enough for some thousand calls in each phase.
SECONDS = 3.0


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_it_survives_and_leaks_nothing(start_server: StartServer, transport: str) -> None:
    server = start_server("--transport", transport).wait_until_ready()
    resident = []
    for seed in range(1, 6):
        assert rough_phase(server.address, seed) > 100
        resident.append(Figures.of(server.pid).resident_kib)
    # What malloc keeps goes up and down by a quarter from phase to phase. A leak only goes up, and so does the least.
    assert min(resident[2:]) < min(resident[:2]) * 1.3, resident
    with RankingClient(server.address, timeout=30) as client:
        assert len(client.rank(42, [204, 141, 131])) == 3
    started = time.monotonic()
    ended = server.stop()
    # A call that it still believed in flight would hold it for 30 seconds.
    assert time.monotonic() - started < 10
    assert ended.code == 0, ended.errors
    assert "in flight" not in ended.errors
    assert "Traceback" not in ended.errors


def rough_phase(address: str, seed: int) -> int:
    """Two clients that stay until the end and one at a time that is killed; returns how many answers were right."""
    chance = random.Random(seed)
    with rough_client(address, 10 * seed) as first, rough_client(address, 10 * seed + 1) as second:
        while first.running or second.running:
            with rough_client(address, 100 * seed):
                time.sleep(1 + chance.random())
        return int(first.result()) + int(second.result())


def rough_client(address: str, seed: int) -> ClientProcess:
    return ClientProcess("rough_client", address, SECONDS, seed)
