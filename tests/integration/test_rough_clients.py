"""A server among clients that cancel, give up, close their channels and are killed."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import StartServer
from rankserve_client import RankingClient

ROUGH_CLIENT = Path(__file__).with_name("rough_client.py")
# Enough for some thousand calls in each phase.
SECONDS = 3.0


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_it_survives_and_leaks_nothing(start_server: StartServer, transport: str) -> None:
    server = start_server("--transport", transport).wait_until_ready()
    resident = []
    for seed in range(1, 6):
        assert rough_phase(server.address, seed) > 100
        resident.append(resident_kib(server.pid))
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
    staying = [start_client(address, SECONDS, 10 * seed + number) for number in range(2)]
    chance = random.Random(seed)
    while any(client.poll() is None for client in staying):
        killed = start_client(address, SECONDS, 100 * seed)
        time.sleep(1 + chance.random())
        killed.kill()
        killed.communicate()
    ended = [(client.communicate()[0], client.returncode) for client in staying]
    assert [code for _, code in ended] == [0, 0], ended
    return sum(int(output) for output, _ in ended)


def start_client(address: str, seconds: float, seed: int) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROUGH_CLIENT), address, str(seconds), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
