"""Hostile clients, one kind after the other: nothing of them stays, and whoever is beside them is answered rightly."""

import os
import random
import time

import pytest

from integration.process_figures import Figures
from integration.server_process import ServerProcess
from reliability.http2_attacks import ATTACKS
from reliability.steady_client import SteadyClient
from server.two_towers import Published

SIZE = int(os.environ.get("RELIABILITY_ATTACK", "5"))
ROUNDS = 3
# What malloc keeps of a burst, by attack; none sends less than it could make the server hold.
GROWTH_KIB = 48 * 1_024
SETTLE_SECONDS = 30.0
# The core has a pool of threads that follows its load.
THREADS_OF_THE_CORE = 4


@pytest.mark.reliability
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("attack", ATTACKS)
def test_many_attacks_leave_nothing_and_harm_nobody(server: ServerProcess, published: Published, attack: str) -> None:
    """The first round may take memory that is then kept; the others may not add to it."""
    before = settled(server)
    resident = []
    for seed in range(ROUNDS):
        done, answers = attacked(server, published, attack, SIZE, seed)
        figures = settled(server, before)
        resident.append(figures.resident_kib)
        print(f"\n{attack} {seed + 1}/{ROUNDS}: {done:,}, beside it {answers} right answers, then {figures}", end="")
    assert min(resident[1:]) < resident[0] + GROWTH_KIB, resident


def attacked(server: ServerProcess, published: Published, attack: str, size: int, seed: int) -> tuple[int, int]:
    """Attacks beside a steady client; returns how often, and how often that was answered."""
    with SteadyClient(server.address, published.towers) as steady:
        done = ATTACKS[attack](server.address, size, random.Random(seed))
    assert server.process.poll() is None, server.errors
    return done, steady.answers


def settled(server: ServerProcess, before: Figures | None = None) -> Figures:
    """What the server holds once it has noticed that its clients are gone: no more than before, or no less and less."""
    until = time.monotonic() + SETTLE_SECONDS
    last = before
    while True:
        figures = Figures.of(server.pid)
        if before is None and last == figures:
            return figures
        if before and figures.files <= before.files and figures.threads <= before.threads + THREADS_OF_THE_CORE:
            return figures
        assert time.monotonic() < until, f"{figures}, and before {before}"
        last = figures if before is None else last
        time.sleep(0.1)
