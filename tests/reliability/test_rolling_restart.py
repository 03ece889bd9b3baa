"""Two servers that are restarted in turn, behind a client that spreads its calls over both: no call fails."""

import os
import signal
import time

import pytest

from conftest import StartServer
from integration.server_process import ServerProcess, free_port
from reliability.callers import Callers

SECONDS = float(os.environ.get("ROLLING_RESTART_SECONDS", "15"))
CALLERS = 6
GRACE_SECONDS = "0.5"


@pytest.mark.reliability
@pytest.mark.timeout(900)
@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_restarts_are_not_noticed(start_trained: StartServer, transport: str) -> None:
    restart_in_turn(start_trained, transport, SECONDS)


def restart_in_turn(start_trained: StartServer, transport: str, seconds: float) -> None:
    """Each server is ended as an operator would, and started again on its port."""

    def start(port: int) -> ServerProcess:
        server: ServerProcess = start_trained("--transport", transport, "--grace-seconds", GRACE_SECONDS, port=port)
        return server.wait_until_ready()

    ports = [free_port(), free_port()]
    servers = [start(port) for port in ports]
    restarts = 0
    with Callers([f"127.0.0.1:{port}" for port in ports], CALLERS) as callers:
        until = time.monotonic() + seconds
        while time.monotonic() < until or restarts < len(servers):
            turn = restarts % len(servers)
            before = callers.answered
            servers[turn].signal(signal.SIGTERM)
            ended = servers[turn].wait()
            assert ended.code == 0, ended.errors
            servers[turn] = start(ports[turn])
            restarts += 1
            # Until clients have found it again: the other one goes next.
            time.sleep(2.0)
            assert callers.answered > before
    print(f"\n{restarts} restarts, {callers.answered} calls answered, failed: {callers.failed}", end="", flush=True)
    assert not callers.failed
