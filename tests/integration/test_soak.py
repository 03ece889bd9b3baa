"""Many calls among rough clients: nothing of them stays. Takes minutes, so only `make soak` runs it."""

import json
import os
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import StartServer
from integration.client_processes import ClientProcess
from integration.load_client import CALLING, write_answers
from integration.process_figures import Figures, processor_seconds
from integration.server_process import ServerProcess

# Of the direct transport; the slower one gets a share of them.
CALLS = int(os.environ.get("SOAK_CALLS", "1000000"))
# Of each phase.
ROUGH_SECONDS = float(os.environ.get("SOAK_ROUGH_SECONDS", "5"))
# Few, as their work is not what is measured: the server is to be busy with the steady clients.
ROUGH_THREADS = 2
STEADY_CLIENTS = 2
IN_FLIGHT = 64
# Of a client that is killed with them.
MANY_IN_FLIGHT = 500
# Far less than to keep a few hundred bytes of each of a million calls.
GROWTH_KIB = 64 * 1024
SETTLE_SECONDS = 30.0
# Of a processor, in a second without a call: something that is believed to be in flight is asked after again and again.
IDLE_SHARE = 0.15
# What grpc.aio logs, with a traceback, where the client of a stream goes while an answer is under way; not of direct.
GRPC_AIO_ITSELF = "ExecuteBatchError raised in core by servicer method"
# The core has a pool of threads that follows its load.
THREADS_OF_THE_CORE = 4

# As slow as a machine that has much else to do.
CALLS_A_SECOND = 250

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600 + CALLS // CALLS_A_SECOND)]


@pytest.mark.parametrize(("transport", "calls", "phases"), [("direct", CALLS, 10), ("aio", CALLS // 50, 5)])
def test_it_keeps_nothing_of_many_calls(
    start_server: StartServer, tmp_path: Path, transport: str, calls: int, phases: int
) -> None:
    server = start_server("--transport", transport, "--drain-seconds", "10").wait_until_ready()
    write_answers(server.address, tmp_path / "answers")
    soak = Soak(server, tmp_path / "answers", calls // phases)
    idle = Figures.of(server.pid)
    # What is allocated once is there afterwards.
    soak.phase(0, rough=True)
    settled(server, idle)
    figures = []
    for number in range(1, phases + 1):
        # The last one is alone, so that nothing has to be refused.
        told = soak.phase(number, rough=number < phases)
        figures.append(settled(server, idle))
        print(f"\n{transport} {number}/{phases}: {told}, then {figures[-1]}", end="", flush=True)
    resident = [figure.resident_kib for figure in figures]
    assert min(resident[phases // 2 :]) < min(resident[: phases // 3]) + GROWTH_KIB, resident
    # A call that it still believed in flight would hold it for as long as it may drain, and be told of.
    ended = server.stop()
    assert ended.code == 0, ended.errors
    assert "in flight" not in ended.errors, ended.errors
    assert ended.errors.count("Traceback") == ended.errors.count(GRPC_AIO_ITSELF), ended.errors


class Soak:
    """Phases of calls to one server."""

    def __init__(self, server: ServerProcess, answers: Path, calls: int) -> None:
        self._address = server.address
        self._answers = answers
        self._calls = calls

    def phase(self, seed: int, rough: bool) -> str:
        """Steady clients until each has its answers, and at first rough ones beside them; returns what was done."""
        started = time.monotonic()
        with ExitStack() as clients:
            steady = [
                clients.enter_context(self._load(self._calls // STEADY_CLIENTS, IN_FLIGHT, 10 * seed + number))
                for number in range(STEADY_CLIENTS)
            ]
            told = self._be_rough(seed) if rough else "nobody was rough"
            results = [json.loads(client.result()) for client in steady]
        answers, refused = (sum(result[what] for result in results) for what in ("answers", "refused"))
        assert rough or not refused
        return f"{answers:,} right answers, {refused} refused, {told}, {time.monotonic() - started:.0f} s"

    def _be_rough(self, seed: int) -> str:
        """Clients that break things and one at a time that is killed; as long as the first ones take."""
        killed = 0
        chance = random.Random(seed)
        with self._rough(ROUGH_SECONDS, seed) as rough, self._client("rude_client", ROUGH_SECONDS, seed) as rude:
            while rough.running or rude.running:
                with self._load(10**9, MANY_IN_FLIGHT, seed) as honest, self._rough(10**9, seed + 1) as worse:
                    assert honest.line() == CALLING
                    time.sleep(0.5 + chance.random())
                    honest.kill()
                    worse.kill()
                killed += 2
            return f"{rough.result()} rough answers, {rude.result()} rude calls, {killed} killed"

    def _load(self, calls: int, in_flight: int, seed: int) -> ClientProcess:
        return self._client("load_client", self._answers, calls, in_flight, seed)

    def _rough(self, seconds: float, seed: int) -> ClientProcess:
        return self._client("rough_client", seconds, seed, ROUGH_THREADS)

    def _client(self, name: str, *arguments: object) -> ClientProcess:
        return ClientProcess(name, self._address, *arguments)


def settled(server: ServerProcess, before: Figures) -> Figures:
    """What the server holds once it has noticed that its clients are gone: no more than before, after some time."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        used = processor_seconds(server.pid)
        time.sleep(1)
        assert server.process.poll() is None, server.errors
        figures = Figures.of(server.pid)
        if (
            figures.files <= before.files
            and figures.threads <= before.threads + THREADS_OF_THE_CORE
            and processor_seconds(server.pid) - used < IDLE_SHARE
        ):
            return figures
        busy = processor_seconds(server.pid) - used
        assert time.monotonic() < until, f"{figures}, {busy:.2f} s of work in a second, and before {before}"
