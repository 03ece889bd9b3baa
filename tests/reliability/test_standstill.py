"""A server that stands still for a while, as virtual machines do, answers all that came meanwhile.

STANDSTILL_SHARE is how much of what can be answered comes: where neighbours take from the machine, 0.6 can be too much.
"""

import os
import signal
import time

import pytest

from conftest import StartServer
from reliability.generators import Generator, run

CANDIDATES = 100
IN_FLIGHT = 64
SHARE_OF_CAPACITY = float(os.environ.get("STANDSTILL_SHARE", "0.6"))
SECONDS = 15.0
STANDSTILL_SECONDS = 0.3
PAUSE_SECONDS = 1.5


@pytest.mark.reliability
@pytest.mark.alone
def test_nobody_is_turned_away_after_a_standstill(start_trained: StartServer) -> None:
    server = start_trained("--transport", "direct").wait_until_ready()
    capacity = run(server.address, "closed", IN_FLIGHT, 3.0, CANDIDATES).goodput
    standstills = 0
    with Generator(server.address, "open", SHARE_OF_CAPACITY * capacity, SECONDS, CANDIDATES) as load:
        time.sleep(PAUSE_SECONDS)  # how fast it answers at this load is not known before
        while load.running:
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(STANDSTILL_SECONDS)
            os.kill(server.pid, signal.SIGCONT)
            standstills += 1
            time.sleep(PAUSE_SECONDS)
        outcome = load.outcome()
    print(
        f"\n{standstills} standstills of {STANDSTILL_SECONDS} s at {SHARE_OF_CAPACITY * capacity:,.0f} calls a second: "
        f"{outcome.statuses}, 99 % within {outcome.p99_ms:.0f} ms",
        end="",
        flush=True,
    )
    assert standstills > SECONDS / (STANDSTILL_SECONDS + PAUSE_SECONDS) / 2
    assert set(outcome.statuses) == {"0"}
