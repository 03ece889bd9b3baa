"""What the steps of a server take, from how it answers callers who wait for it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]  # it has no types

from simulation.callers import closed_loop
from simulation.server import Machine, Times

_WAY = 20e-6
# With these a search begins: seconds of a client for a request, how rounds differ, stalls a second and their seconds.
_CLIENT, _SPREAD, _STALLS, _STALL = 40e-6, 0.3, 10.0, 0.001
# How the rest of a lone call is shared out: a round, a batch, a request in it.
_PARTS = (0.35, 0.55, 0.1)
_MOST_SPREAD = 0.8
# Of all time, that a machine stands still.
_MOST_STALLED = 0.3
_REQUESTS = 1_500
_QUANTILES = (0.5, 0.9, 0.99)
# The median of latencies counts twice.
_WEIGHTS = np.array([1.0, 2.0, 1.0, 1.0])
_IDLE_BINS = (0.0, 0.0003, 0.0006, 0.001, 0.002, 0.004, 0.008, math.inf)

Figures = npt.NDArray[np.float64]


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


def measures(rate: float, latencies: Sequence[float]) -> Figures:
    """What is compared of a closed loop: float64[4], its rate and three quantiles of its latencies."""
    return np.array([rate, *np.quantile(latencies, _QUANTILES)])


def fit(
    measured: Mapping[int, Figures],
    lone: Sequence[tuple[float, float]],
    paces: tuple[float, ...] = (1.0,),
    evaluations: int = 250,
) -> Fit:
    """Finds the times with which closed loops of the simulation are most like those that were measured.

    Args:
        measured: `measures` by the number of callers.
        lone: what `closed_loop.lone_caller` has found: how long the server had been idle, and what a call took then.
        paces: those of the machine.
        evaluations: how many guesses are tried, each of some tenths of a second.
    """

    def far_off(logs: Figures) -> float:
        times, machine = _unpacked(logs, paces)
        return float(
            np.mean([_WEIGHTS @ _difference(times, machine, callers, seen) for callers, seen in measured.items()])
        )

    start = np.log(_first_guess(measured))
    simplex = np.vstack([start, start + 0.5 * np.eye(len(start))])
    found = minimize(far_off, start, method="Nelder-Mead", options={"maxfev": evaluations, "initial_simplex": simplex})
    times, machine = _unpacked(found.x, paces)
    return Fit(_with_waking(times, machine, lone), machine, math.sqrt(found.fun / _WEIGHTS.sum()))


def _first_guess(measured: Mapping[int, Figures]) -> tuple[float, ...]:
    """Many callers are answered as fast as a lane takes and answers; what else a lone one waits for is shared out."""
    few, many = measured[min(measured)], measured[max(measured)]
    requests = 0.9 / many[0]
    rest = max(few[1] - requests - 2 * _WAY - _CLIENT, requests)
    fixed, batch, compute = (part * rest for part in _PARTS)
    return (fixed, requests, batch, compute, _CLIENT, _SPREAD, _STALLS, _STALL)


def _unpacked(logs: Figures, paces: tuple[float, ...]) -> tuple[Times, Machine]:
    fixed, requests, batch, compute, client, spread, stalls, stall = map(float, np.exp(np.minimum(logs, 5.0)))
    times = Times(
        wake=(0.0,),
        idle=(0.0,),
        fixed=fixed,
        take=requests / 2,
        batch=batch,
        compute=compute,
        answer=requests / 2,
        way=_WAY,
        client=client,
        spread=min(spread, _MOST_SPREAD),
    )
    return times, Machine(float(stalls), float(min(stall, _MOST_STALLED / stalls)), paces)


def _difference(times: Times, machine: Machine, callers: int, seen: Figures) -> Figures:
    rate, latencies = closed_loop(times, machine, callers, _REQUESTS + 20 * callers, seed=callers)
    squares: Figures = np.log(measures(rate, latencies) / seen) ** 2
    return squares


def _with_waking(times: Times, machine: Machine, lone: Sequence[tuple[float, float]]) -> Times:
    """With what a lone call takes longer where the server had been idle: closed loops leave it no time for that."""
    _, awake = closed_loop(times, machine, 1, _REQUESTS)
    found = np.array(lone)
    places, extras = [0.0], [0.0]
    for low, high in itertools.pairwise(_IDLE_BINS):
        idle, took = found[(found[:, 0] >= low) & (found[:, 0] < high)].T
        if len(took):
            places.append(float(np.median(idle)))
            extras.append(max(0.0, float(np.median(took)) - float(np.median(awake))))
    return replace(times, idle=tuple(places), wake=tuple(extras))
