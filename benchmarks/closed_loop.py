"""Callers who wait for their answer before they call again, from a client that costs little."""

import random
from dataclasses import dataclass

from raw_caller import RawCaller
from simulation.waking import LoneCall

_WARM_UP_SECONDS = 0.3
_LAST_ANSWERS_SECONDS = 10.0
# Of a lone caller, in seconds: from almost none to longer than whatever keeps a processor awake.
_PAUSES = (0.0001, 0.0005, 0.001, 0.002, 0.004, 0.008)


@dataclass(frozen=True)
class ClosedRun:
    """What was measured.

    Attributes:
        rate: answers a second.
        latencies: seconds of each.
        ends: when each of them was answered, seconds since the beginning.
    """

    rate: float
    latencies: list[float]
    ends: list[float]


def closed_loop(address: str, callers: int, seconds: float, seed: int, candidates: int) -> ClosedRun:
    """So many callers, each of whom calls again as soon as it is answered."""
    caller = RawCaller(address, random.Random(seed), candidates)
    sent: list[float] = []
    latencies, ends = [], []

    def send() -> None:
        sent.append(caller.now())
        caller.send(len(sent) - 1)

    for _ in range(callers):
        send()
    caller.flush()
    while caller.now() < _WARM_UP_SECONDS + seconds:
        for number, now in caller.answered(_LAST_ANSWERS_SECONDS):
            if now > _WARM_UP_SECONDS:
                latencies.append(now - sent[number])
                ends.append(now - _WARM_UP_SECONDS)
            send()
        caller.flush()
    while caller.is_waiting:
        caller.answered(_LAST_ANSWERS_SECONDS)
    return ClosedRun(len(latencies) / seconds, latencies, ends)


def lone_caller(address: str, seconds: float, seed: int, candidates: int) -> list[LoneCall]:
    """One caller, who pauses before each call."""
    chance = random.Random(seed)
    caller = RawCaller(address, chance, candidates)
    found: list[LoneCall] = []
    answered = caller.now()
    number = 0
    while answered < _WARM_UP_SECONDS + seconds:
        due = answered + chance.expovariate(1 / chance.choice(_PAUSES))
        while caller.now() < due:
            caller.answered(due - caller.now())
        sent = caller.now()
        caller.send(number)
        caller.flush()
        number += 1
        answers: list[tuple[int, float]] = []
        while not answers:
            answers = caller.answered(_LAST_ANSWERS_SECONDS)
        idle, answered = sent - answered, answers[0][1]
        if answered > _WARM_UP_SECONDS:
            found.append(LoneCall(idle, sent - due, answered - sent))
    return found
