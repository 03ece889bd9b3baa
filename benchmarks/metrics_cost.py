"""What metrics cost the server: two servers without, one with, and one that is scraped all the time, in turn."""

import dataclasses
import statistics
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import h2load
from processes import Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

CANDIDATES = (100, 500)
TRANSPORTS = ("direct", "aio")
# Of two servers that are started alike, one may need some hundredths more for as long as it runs: how its memory lies
# is left to chance. So all are started anew several times.
STARTS = 6
# After each start. Short ones, so that whatever else the machine does meets all of them alike.
ROUNDS = 6
TARGET_RATIO = 1.03
# Prometheus comes every 15 seconds or so: far more often than that, so that each round meets some.
SCRAPE_SECONDS = 0.5
_SECONDS = 0.7
_WARM_UP = 500
_FIRST_PORT = 27_800
_METRICS_PORT = 27_820
# By candidates.
_Rounds: TypeAlias = dict[int, dict[Contender, list[h2load.Round]]]


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    expected = expected_scores(models_dir)
    tables = []
    for transport in TRANSPORTS:
        contenders = _contenders(transport)
        rounds: _Rounds = {count: {contender: [] for contender in contenders} for count in CANDIDATES}
        for start in range(1, STARTS + 1):
            with running(contenders, models_dir, _FIRST_PORT) as processes, _scraped(_METRICS_PORT + 1):
                for count in CANDIDATES:
                    _measure(processes, count, expected, rounds[count])
            log(f"metrics_cost, {transport}: {start} of {STARTS} starts")
        tables += [f"{transport} transport, {count} candidates:\n\n{_table(rounds[count])}" for count in CANDIDATES]
    return (
        f"{h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each that stay open, median of "
        f"{STARTS * ROUNDS} short rounds (lowest to highest), {ROUNDS} after each of {STARTS} starts. The ratios are "
        "of rounds of one turn, and the range of a start is that of its rounds' median: two servers that are alike "
        f"differ by so much. The last one is scraped every {SCRAPE_SECONDS} s. Target: CPU at most {TARGET_RATIO} "
        "times that without metrics.\n\n" + "\n\n".join(tables)
    )


def _contenders(transport: str) -> list[Contender]:
    """The first one is what the others are compared with."""

    def contender(name: str, *flags: str) -> Contender:
        return dataclasses.replace(rankserve(transport, *flags), name=name)

    return [
        contender("without metrics"),
        contender("without metrics, once more"),  # by how much this one differs, the others may by chance
        contender("with metrics", "--metrics-port", str(_METRICS_PORT)),
        contender("with metrics, scraped", "--metrics-port", str(_METRICS_PORT + 1)),
    ]


@contextmanager
def _scraped(port: int) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE_SECONDS):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                answer.read()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _measure(
    processes: list[Process],
    count: int,
    expected: dict[int, float],
    rounds: dict[Contender, list[h2load.Round]],
) -> None:
    """Adds the rounds after one start."""
    sizes = {process: max(200, int(_SECONDS * h2load.measure(process, count, _WARM_UP).rate)) for process in processes}
    for number in range(ROUNDS):
        for process in processes[:: 1 if number % 2 else -1]:
            h2load.check_answers(process, count, expected)
            rounds[process.contender].append(h2load.measure(process, count, sizes[process]))


def _table(rounds: dict[Contender, list[h2load.Round]]) -> str:
    without = next(iter(rounds.values()))
    rows = []
    for contender, results in rounds.items():
        pairs = list(zip(results, without, strict=True))
        costs = [one.cpu_us / other.cpu_us for one, other in pairs]
        rows.append(
            [
                contender.name,
                spread(costs, ".3f"),
                _range_of_starts(costs),
                verdict(statistics.median(costs), TARGET_RATIO),
                spread([one.rate / other.rate for one, other in pairs], ".3f"),
                f"{statistics.median(one.cpu_us for one in results):.1f}",
                f"{statistics.median(one.rate for one in results):,.0f}",
                f"{statistics.median(one.p99_ms for one in results):.1f}",
            ]
        )
    columns = [
        "",
        "CPU, times without",
        "of a start",
        "target",
        "capacity, times without",
        "CPU us/request",
        "requests/s",
        "p99 ms",
    ]
    return table(columns, rows)


def _range_of_starts(costs: list[float]) -> str:
    medians = [statistics.median(costs[first : first + ROUNDS]) for first in range(0, len(costs), ROUNDS)]
    return f"{min(medians):.3f} to {max(medians):.3f}"
