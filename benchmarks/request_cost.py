"""What a request and each of its candidates cost: processor time of the server, by the number of candidates."""

import statistics
from collections.abc import Callable
from pathlib import Path

import h2load
import numpy as np
from processes import Process, rankserve, running
from tables import spread, table
from throughput import expected_scores

CANDIDATES = (10, 100, 500, 1_000)
TRANSPORTS = ("direct", "aio")
ROUNDS = 5
_SECONDS = 1.0
_WARM_UP = 500
_FIRST_PORT = 27_860


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    contenders = [rankserve(transport) for transport in TRANSPORTS]
    with running(contenders, models_dir, _FIRST_PORT) as processes:
        for process in processes:
            for count in CANDIDATES:
                h2load.check_answers(process, count, expected)
        sizes = {process.port: [_requests(process, count) for count in CANDIDATES] for process in processes}
        costs = {process.port: [_round(process, sizes[process.port])] for process in processes}
        for number in range(1, ROUNDS):
            for process in processes:
                costs[process.port].append(_round(process, sizes[process.port]))
            log(f"request_cost: round {number + 1} of {ROUNDS}")
        rows = [_row(process.contender.name, costs[process.port]) for process in processes]
    heads = [f"{count:,} candidates" for count in CANDIDATES]
    return f"{_introduction()}\n\n{table(['us', *heads, 'a request', 'each candidate'], rows)}"


def _requests(process: Process, count: int) -> int:
    """About a second's."""
    return max(100, round(h2load.measure(process, count, _WARM_UP).rate * _SECONDS))


def _round(process: Process, sizes: list[int]) -> list[float]:
    """Microseconds a request, for each number of candidates."""
    return [h2load.measure(process, count, size).cpu_us for count, size in zip(CANDIDATES, sizes, strict=True)]


def _row(name: str, rounds: list[list[float]]) -> list[str]:
    fits = [np.polyfit(CANDIDATES, costs, 1) for costs in rounds]
    measured = [f"{statistics.median(costs):.0f}" for costs in zip(*rounds, strict=True)]
    slopes, fixed = zip(*fits, strict=True)
    return [name, *measured, spread(fixed, ".0f"), spread(slopes, ".3f")]


def _introduction() -> str:
    at_a_time = h2load.CONNECTIONS * h2load.STREAMS
    return (
        f"Processor time of all of a server's threads, in microseconds a request, with {at_a_time} requests under way; "
        f"medians of {ROUNDS} rounds in turn. The last columns are a straight line through each round's figures: what "
        "a request takes whatever it asks for, and what each candidate adds (median, lowest to highest)."
    )
