"""What the steps of a server take, from how it answers."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy ships no types

from simulation.callers import closed_loop, open_loop
from simulation.processors import Machine
from simulation.server import Times

_WAY = 20e-6
# With these a search begins: seconds of a client for a request and for a turn, of an event, how steps differ, stalls a
# second and their seconds, and those of a slice.
_CLIENT, _TURN, _EVENT, _SPREAD, _STALLS, _STALL, _SLICE = 30e-6, 20e-6, 30e-6, 0.3, 5.0, 0.001, 0.0005
# How the rest of a lone call is shared out: a round, a batch, a request in it.
_PARTS = (0.35, 0.55, 0.1)
_MOST_SPREAD = 0.8
# Of all time, that a machine stands still.
_MOST_STALLED = 0.3
# How far the guesses that a search begins with are from the best one so far: logarithms.
_SEARCHES = (0.5, -0.3, 0.4, -0.3)
_MOST_SECONDS = 10.0
_QUANTILES = (0.5, 0.9, 0.99)
# The median of latencies counts twice.
_WEIGHTS = np.array([1.0, 2.0, 1.0, 1.0])
_IDLE_BINS = (0.0, 0.0003, 0.0006, 0.001, 0.002, 0.004, 0.008, math.inf)

Figures = npt.NDArray[np.float64]
_Waking: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Fit:
    """A server on its machine.

    Attributes:
        times: what its steps take.
        machine: how often that stands still.
        error: root of the mean square of the logarithms of how far rates and latencies are off.
    """

    times: Times
    machine: Machine
    error: float


def measures(rate: float, latencies: Sequence[float] | Figures) -> Figures:
    """What is compared of a loop: float64[4], its rate and three quantiles of its latencies."""
    return np.array([rate, *np.quantile(latencies, _QUANTILES)])


def fit(
    closed: Mapping[int, Figures],
    opened: Mapping[float, Figures],
    lone: Sequence[tuple[float, float]],
    most: int,
    paces: tuple[float, ...] = (1.0,),
    processors: int = 2,
    evaluations: int = 260,
    requests: int = 10_000,
) -> Fit:
    """Finds the times with which loops of the simulation are most like those that were measured.

    Args:
        closed: `measures` by the number of callers, one of them a single one.
        opened: the same of calls at random times, by their rate a second.
        lone: what `closed_loop.lone_caller` has found: how long the server had been idle, and what a call took then.
        most: requests that a batch holds.
        paces: those of the machine.
        processors: of it, which the server shares with its client.
        evaluations: how many guesses are tried, in each of several searches, each of which begins where the one before
            has ended; a search that ends early has often only lost its way.
        requests: of each simulated loop, or ten seconds of it: enough for its slowest hundredth.
    """
    waking = _waking(lone, float(closed[1][1]))

    def far_off(logs: Figures) -> float:
        times, machine = _unpacked(logs, waking, most, paces, processors)
        in_closed, in_open = [], []
        for callers, seen in closed.items():
            count = min(requests, int(_MOST_SECONDS * seen[0]))
            in_closed.append(_off(measures(*closed_loop(times, machine, callers, count, seed=callers)), seen))
        for rate, seen in opened.items():
            seconds = min(requests / rate, _MOST_SECONDS)
            in_open.append(_off(measures(rate, open_loop(times, machine, rate, seconds, seed=int(rate))), seen))
        return float(np.mean(in_closed) + np.mean(in_open)) / 2

    best = np.log(_first_guess(closed))
    for size in _SEARCHES:
        simplex = np.vstack([best, best + size * np.eye(len(best))])
        options = {"maxfev": evaluations, "initial_simplex": simplex, "adaptive": True}
        found = minimize(far_off, best, method="Nelder-Mead", options=options)
        best = found.x
    return Fit(*_unpacked(best, waking, most, paces, processors), math.sqrt(found.fun / _WEIGHTS.sum()))


def _off(simulated: Figures, seen: Figures) -> float:
    return float(_WEIGHTS @ np.log(simulated / seen) ** 2)


def _first_guess(measured: Mapping[int, Figures]) -> tuple[float, ...]:
    """Many callers are answered as fast as a lane takes and answers; what else a lone one waits for is shared out."""
    few, many = measured[min(measured)], measured[max(measured)]
    requests = 0.9 / many[0]
    rest = max(few[1] - requests - 2 * _WAY - _CLIENT - 2 * _TURN, requests)
    fixed, batch, compute = (part * rest for part in _PARTS)
    return (fixed, requests, batch, compute, _CLIENT, _TURN, _EVENT, _SPREAD, _STALLS, _STALL, _SLICE)


def _unpacked(
    logs: Figures, waking: _Waking, most: int, paces: tuple[float, ...], processors: int
) -> tuple[Times, Machine]:
    fixed, requests, batch, compute, client, turn, event, spread, stalls, stall, slice_ = map(
        float, np.exp(np.minimum(logs, 5.0))
    )
    times = Times(
        idle=waking[0],
        wake=waking[1],
        fixed=fixed,
        event=event,
        take=requests / 2,
        batch=batch,
        compute=compute,
        answer=requests / 2,
        way=_WAY,
        client=client,
        turn=turn,
        most=most,
        spread=min(spread, _MOST_SPREAD),
    )
    return times, Machine(stalls, min(stall, _MOST_STALLED / stalls), paces, processors, slice_)


def _waking(lone: Sequence[tuple[float, float]], awake: float) -> _Waking:
    """How long a server had been idle, and what a call took longer than of a caller who leaves it no time to be."""
    found = np.array(lone)
    idle_for, extras = [0.0], [0.0]
    for low, high in itertools.pairwise(_IDLE_BINS):
        idle, took = found[(found[:, 0] >= low) & (found[:, 0] < high)].T
        if len(took):
            idle_for.append(float(np.median(idle)))
            extras.append(max(0.0, float(np.median(took)) - awake))
    return tuple(idle_for), tuple(extras)
