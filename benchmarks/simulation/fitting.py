"""What the steps of a server take, from how it answers."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize  # type: ignore[import-untyped]  # scipy ships no types

from simulation.callers import closed_loop, open_loop
from simulation.processors import Machine
from simulation.server import Times
from simulation.waking import Waking

_WAY = 20e-6
# With these a search begins: seconds of a client for a request and for a turn, of an event, how steps differ, stalls a
# second and their seconds, those of a slice, and those until a processor sleeps.
_CLIENT, _TURN, _EVENT, _SPREAD, _STALLS, _STALL, _SLICE, _AWAKE = 30e-6, 20e-6, 30e-6, 0.3, 5.0, 0.001, 5e-4, 2e-4
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


def measures(rate: float, latencies: Sequence[float] | Figures) -> Figures:
    """What is compared of a loop: float64[4], its rate and three quantiles of its latencies."""
    return np.array([rate, *np.quantile(latencies, _QUANTILES)])


def fit(
    closed: Mapping[int, Figures],
    opened: Mapping[float, Figures],
    waking: Waking,
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
        waking: of the machine.
        most: requests that a batch holds.
        paces: those of the machine.
        processors: of it, which the server shares with its client.
        evaluations: how many guesses are tried, in each of several searches, each of which begins where the one before
            has ended; a search that ends early has often only lost its way.
        requests: of each simulated loop, or ten seconds of it: enough for its slowest hundredth.
    """
    loops = [_Loop(True, callers, min(requests, int(_MOST_SECONDS * seen[0]))) for callers, seen in closed.items()]
    loops += [_Loop(False, rate, min(requests / rate, _MOST_SECONDS)) for rate in opened]
    seen = [*closed.values(), *opened.values()]

    def far_off(logs: Figures) -> float:
        server = _unpacked(logs, waking, most, paces, processors)
        off = list(map(_off, workers.map(partial(_figures, *server), loops), seen))
        return float(np.mean(off[: len(closed)]) + np.mean(off[len(closed) :])) / 2

    best = np.log(_first_guess(closed))
    with ProcessPoolExecutor(processors, get_context("spawn")) as workers:
        for size in _SEARCHES:
            simplex = np.vstack([best, best + size * np.eye(len(best))])
            options = {"maxfev": evaluations, "initial_simplex": simplex, "adaptive": True}
            found = minimize(far_off, best, method="Nelder-Mead", options=options)
            best = found.x
    return Fit(*_unpacked(best, waking, most, paces, processors), math.sqrt(found.fun / _WEIGHTS.sum()))


class _Loop(NamedTuple):
    """One that is simulated: of so many callers until so many requests, or at such a rate for so many seconds."""

    is_closed: bool
    load: float
    length: float


def _figures(times: Times, machine: Machine, loop: _Loop) -> Figures:
    """See `measures`; on whichever process."""
    seed = int(loop.load)
    if loop.is_closed:
        return measures(*closed_loop(times, machine, seed, int(loop.length), seed))
    return measures(loop.load, open_loop(times, machine, loop.load, loop.length, seed))


def _off(simulated: Figures, seen: Figures) -> float:
    return float(_WEIGHTS @ np.log(simulated / seen) ** 2)


def _first_guess(measured: Mapping[int, Figures]) -> tuple[float, ...]:
    """Many callers are answered as fast as a lane takes and answers; what else a lone one waits for is shared out."""
    few, many = measured[min(measured)], measured[max(measured)]
    requests = 0.9 / many[0]
    rest = max(few[1] - requests - 2 * _WAY - _CLIENT - 2 * _TURN, requests)
    fixed, batch, compute = (part * rest for part in _PARTS)
    return (fixed, requests, batch, compute, _CLIENT, _TURN, _EVENT, _SPREAD, _STALLS, _STALL, _SLICE, _AWAKE)


def _unpacked(
    logs: Figures, waking: Waking, most: int, paces: tuple[float, ...], processors: int
) -> tuple[Times, Machine]:
    fixed, requests, batch, compute, client, turn, event, spread, stalls, stall, slice_, awake = map(
        float, np.exp(np.minimum(logs, 5.0))
    )
    times = Times(
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
    return times, Machine(stalls, min(stall, _MOST_STALLED / stalls), paces, processors, slice_, awake, waking)
