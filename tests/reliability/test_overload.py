"""More requests than the server can answer: those that it takes are answered in time, the others are told at once.

What it can answer is measured in the same run, with the same client beside it: they share the processors. With far
fewer candidates than CANDIDATES, refusing alone would keep two processors busy.
"""

import os

import pytest

from conftest import StartServer
from integration.server_process import ServerProcess
from reliability.generators import run
from reliability.load_generator import DEADLINE_SECONDS, Outcome

SECONDS = float(os.environ.get("OVERLOAD_SECONDS", "60"))
SHORT_SECONDS = 6.0
CANDIDATES = 1_000
IN_FLIGHT = 64
TIMES = 3.0
CAPACITY_SECONDS = 4.0
# Of what the server could answer without the others.
GOODPUT = 0.85
GOODPUT_OF_AIO = 0.3
# A tenth of a collapse: without any protection it is a third or less.
SHORT_GOODPUT = 0.5
RECOVERY_SECONDS = 2.0
OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = "0", "4", "8"


def test_a_burst_is_answered_in_part_and_forgotten(start_trained: StartServer) -> None:
    overloaded = Overloaded(start_trained("--transport", "direct").wait_until_ready(), SHORT_SECONDS)
    assert overloaded.goodput > SHORT_GOODPUT, overloaded
    overloaded.check()


@pytest.mark.reliability
@pytest.mark.timeout(600)
def test_goodput_holds(start_trained: StartServer) -> None:
    overloaded = Overloaded(start_trained("--transport", "direct").wait_until_ready(), SECONDS)
    assert overloaded.goodput > GOODPUT, overloaded
    overloaded.check()


@pytest.mark.reliability
@pytest.mark.timeout(600)
def test_asyncio_does_not_collapse(start_trained: StartServer) -> None:
    """grpc.aio spends more on a call than we on its candidates, so that the core has to turn most of them away."""
    overloaded = Overloaded(start_trained("--transport", "aio").wait_until_ready(), SECONDS / 3)
    assert overloaded.goodput > GOODPUT_OF_AIO, overloaded
    assert overloaded.recovery.in_time == overloaded.recovery.calls, overloaded


class Overloaded:
    """A server before, while and after it is asked for TIMES as much as it can answer."""

    def __init__(self, server: ServerProcess, seconds: float) -> None:
        run(server.address, "closed", IN_FLIGHT, 1.0, CANDIDATES)  # everything is allocated and measured then
        self.before = run(server.address, "closed", IN_FLIGHT, CAPACITY_SECONDS, CANDIDATES)
        self.meanwhile = run(server.address, "open", TIMES * self.before.goodput, seconds, CANDIDATES)
        # The run before ends with its last call.
        self.recovery = run(server.address, "open", self.before.goodput / 4, RECOVERY_SECONDS, CANDIDATES)
        print(f"\n{self}", end="", flush=True)

    def __str__(self) -> str:
        return f"{self.goodput:.2f} of the capacity\n{self.before}\n{self.meanwhile}\n{self.recovery}"

    @property
    def goodput(self) -> float:
        """Answers in time, as a share of what the server can answer."""
        return self.meanwhile.goodput / self.before.goodput

    def check(self) -> None:
        """What holds however long it was.

        Who is accepted has twice the expected wait left until its deadline, so half of that is what most take.
        """
        answered = self.meanwhile.statuses[OK]
        assert self.meanwhile.in_time > 0.99 * answered, self
        assert self.meanwhile.p99_ms < DEADLINE_SECONDS * 1e3, self
        refused = self.meanwhile.statuses.get(RESOURCE_EXHAUSTED, 0)
        assert refused > _unrefused(self.meanwhile) * 9, self
        assert self.recovery.in_time == self.recovery.calls, self


def _unrefused(outcome: Outcome) -> int:
    """Calls that got neither an answer nor a reason."""
    return sum(count for status, count in outcome.statuses.items() if status not in (OK, RESOURCE_EXHAUSTED))
