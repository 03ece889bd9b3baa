"""The simulation of one server held against that server, and what it says of many then.

A machine that others use, too, is now faster and now slower. So each round measures closed loops and
open ones, from which the simulation is fitted, and open ones between those, which it has to foretell, right after each
other; a round in which the machine has changed meanwhile is measured again; and times of a round count in what the
machine did in that round.
"""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from closed_loop import ClosedRun, closed_loop, lone_caller
from open_loop import OpenLoop
from processes import Process, rankserve, running
from simulation import callers as simulated
from simulation.fitting import Figures, Fit, fit, measures
from simulation.fleet import Fleet, Outcome, Policy, at_random, by_user, least_of_two, round_robin
from simulation.processors import PACE_SECONDS
from simulation.waking import LoneCall, Waking
from tables import table

from rankserve_server.engine.buckets import LARGEST_BUCKET

CALLERS = (1, 2, 4, 8, 16, 32, 64)
# Of what can be answered: what the simulation is fitted to, and what it has to foretell.
FITTED_SHARES = (0.1, 0.3, 0.5, 0.7)
SHARES = (0.2, 0.4, 0.6)
ROUNDS = 12
CANDIDATES = 100
TARGET = 0.15
# From a round's beginning to its end, in what it can answer.
MOST_CHANGED = 0.2
SERVERS = 20
_MOST_TRIES = 4 * ROUNDS
_CLOSED_SECONDS = 0.8
_LONE_SECONDS = 1.5
_OPEN_SECONDS = 3.0
_SIMULATED_SECONDS = 60.0
_FLEET_SECONDS = 4.0
_NETWORK_SECONDS = 100e-6
_PORT = 27_870


@dataclass(frozen=True)
class Round:
    """What was measured of a server at one time.

    Attributes:
        capacity: what the most callers were answered, a second, on average of the round's beginning and end.
        changed: how much that was another at the end.
        closed: by the number of callers.
        lone: see `closed_loop.lone_caller`.
        opened: latencies in seconds, by share of the capacity.
    """

    capacity: float
    changed: float
    closed: dict[int, ClosedRun]
    lone: list[LoneCall]
    opened: dict[float, list[float]]


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, simulates, and returns the tables as Markdown."""
    with running([rankserve("direct")], models_dir, _PORT) as (server,):
        rounds = _rounds(server, log)
    fitted, unit = fitted_to(rounds)
    log(f"simulation: fitted, off by {fitted.error:.2f}: {fitted}")
    return "\n\n".join([_introduction(rounds), _held_against(rounds, fitted, unit), _fleets(fitted, unit)])


def _rounds(server: Process, log: Callable[[str], None]) -> list[Round]:
    closed_loop(server.target, CALLERS[-1], 2.0, 0, CANDIDATES)
    gc.collect()
    gc.freeze()
    steady: list[Round] = []
    for number in range(_MOST_TRIES):
        found = _round(server, number)
        is_steady = found.changed <= MOST_CHANGED
        steady += [found] if is_steady else []
        of_all = f"{len(steady)} of {ROUNDS} rounds"
        log(f"simulation: {found.capacity:,.0f} a second, then {found.changed:.0%} off; {of_all}")
        if len(steady) == ROUNDS:
            return steady
    raise RuntimeError(f"the machine was steady in {len(steady)} of {_MOST_TRIES} rounds: others use it too much")


def _round(server: Process, seed: int) -> Round:
    closed = {
        count: closed_loop(server.target, count, _CLOSED_SECONDS, seed, CANDIDATES) for count in reversed(CALLERS)
    }
    lone = lone_caller(server.target, _LONE_SECONDS, seed, CANDIDATES)
    capacity = closed[CALLERS[-1]].rate
    opened = {}
    for share in sorted((*FITTED_SHARES, *SHARES)):
        loop = OpenLoop(server.target, share * capacity, _OPEN_SECONDS, seed, CANDIDATES)
        loop.run()
        opened[share] = loop.latencies
    again = closed_loop(server.target, CALLERS[-1], _CLOSED_SECONDS, seed, CANDIDATES)
    return Round((capacity + again.rate) / 2, abs(again.rate / capacity - 1), closed, lone, opened)


def fitted_to(rounds: list[Round]) -> tuple[Fit, float]:
    """The simulation of these rounds, and what its server answers at most, requests a second: the mean of theirs."""
    unit = float(np.mean([each.capacity for each in rounds]))
    closed = {count: _typical([_of_closed(each, count, unit) for each in rounds]) for count in CALLERS}
    opened = {share * unit: _typical([_of_open(each, share, unit) for each in rounds]) for share in FITTED_SHARES}
    processors = len(os.sched_getaffinity(0))
    return fit(closed, opened, _waking(rounds, unit), LARGEST_BUCKET // CANDIDATES, _paces(rounds), processors), unit


def _waking(rounds: list[Round], unit: float) -> Waking:
    lone, awake = [], []
    for each in rounds:
        slower = each.capacity / unit
        lone += [LoneCall(call.idle, call.late, call.took * slower) for call in each.lone]
        awake += [took * slower for took in each.closed[1].latencies]
    return Waking.of(lone, awake)


def _of_closed(found: Round, callers: int, unit: float) -> Figures:
    """See `measures`; as on a machine that answers `unit` requests a second at most."""
    slower = found.capacity / unit
    return measures(found.closed[callers].rate / slower, np.multiply(found.closed[callers].latencies, slower))


def _of_open(found: Round, share: float, unit: float) -> Figures:
    """Likewise."""
    return measures(share * unit, np.multiply(found.opened[share], found.capacity / unit))


def _typical(of_rounds: list[Figures]) -> Figures:
    """Their medians: a round in which others have used the machine must not decide about the slowest hundredth."""
    return np.median(of_rounds, axis=0)


def _paces(rounds: list[Round]) -> tuple[float, ...]:
    """What was answered in each PACE_SECONDS, with the most callers, as a share of the round's mean.

    Long enough to hold many batches: where some tens are answered at once, each time has one more or less.
    """
    places = np.arange(0, _CLOSED_SECONDS + PACE_SECONDS / 2, PACE_SECONDS)
    counts = [np.histogram(each.closed[CALLERS[-1]].ends, places)[0] for each in rounds]
    return tuple(float(pace) for each in counts for pace in np.maximum(each / each.mean(), 0.1))


def _held_against(rounds: list[Round], fitted: Fit, unit: float) -> str:
    rows = []
    for share in SHARES:
        foretold = measures(
            share * unit, simulated.open_loop(fitted.times, fitted.machine, share * unit, _SIMULATED_SECONDS)
        )
        of_rounds = np.array([_of_open(each, share, unit) for each in rounds])
        for name, place in (("p50", 1), ("p99", 3)):
            each_round = of_rounds[:, place] * 1e3
            was, said = float(np.median(each_round)), float(foretold[place]) * 1e3
            off = said / was - 1
            reached = "met" if abs(off) <= TARGET else "missed"
            spread = f"{was:.2f} ({each_round.min():.2f} to {each_round.max():.2f})"
            rows.append([f"{share:.0%}, {name}", spread, f"{said:.2f}", f"{off:+.0%}", f"{TARGET:.0%}: {reached}"])
    heads = ["load", "measured, ms", "simulated, ms", "off by", "target"]
    return table(heads, rows)


def _fleets(fitted: Fit, unit: float) -> str:
    """Behind a network, where clients have processors of their own, and a machine that nobody else uses."""
    times = replace(fitted.times, client=0.0, way=_NETWORK_SECONDS)
    machine = replace(fitted.machine, stalls_per_second=0.0, paces=(1.0,))
    fleet = Fleet(times, machine, SERVERS, 0.6 * unit * SERVERS, least_of_two)
    policies: list[tuple[str, Policy]] = [
        ("in turn", round_robin()),
        ("at random", at_random),
        ("the less busy of two", least_of_two),
        ("by user", by_user),
    ]
    cases = [(f"balanced {name}", replace(fleet, policy=policy)) for name, policy in policies]
    cases += [(f"one is half as fast, {name}", replace(fleet, policy=p, slow=2.0)) for name, p in policies[:3]]
    cases += [(f"one fails, {name}", replace(fleet, policy=p, fails_at=1.5)) for name, p in policies[:3]]
    cases += [
        (f"{share:.0%} of what it can answer", replace(fleet, rate=share * unit * SERVERS))
        for share in (0.3, 0.75, 0.9)
    ]
    heads = [f"{SERVERS} servers", "p50 ms", "p99 ms", "p99.9 ms", "busiest / average", "retried", "given up"]
    return table(heads, [_outcome_row(name, case.run(_FLEET_SECONDS)) for name, case in cases])


def _outcome_row(name: str, outcome: Outcome) -> list[str]:
    cells = [f"{value * 1e3:.1f}" for value in np.quantile(outcome.latencies, (0.5, 0.99, 0.999))]
    return [name, *cells, f"{outcome.busiest:.2f}", f"{outcome.retried:,}", f"{outcome.failed:,}"]


def _introduction(rounds: list[Round]) -> str:
    count = sum(len(each.opened[share]) for each in rounds for share in SHARES)
    capacity = [each.capacity for each in rounds]
    return (
        f"The direct transport, {CANDIDATES} candidates. {len(rounds)} rounds in which what {CALLERS[-1]} callers are "
        f"answered, {min(capacity):,.0f} to {max(capacity):,.0f} a second, was the same to {MOST_CHANGED:.0%} before "
        f"and after. Fitted to {', '.join(map(str, CALLERS))} callers at a time, to lone calls, and to calls "
        f"at random times at {', '.join(f'{share:.0%}' for share in FITTED_SHARES)} of that; held against {count:,} "
        "calls at the shares between. Times in units of each round's capacity. Then "
        f"{SERVERS} such servers on machines of their own, {_NETWORK_SECONDS * 1e6:.0f} us away, at 60 % of what they "
        "can answer, users by Zipf's law: those that are balanced by user get what hot users bring."
    )
