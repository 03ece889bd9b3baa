"""What metrics cost the server: two servers without, one with, and one that is scraped all the time, in turn."""

import dataclasses
import statistics
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h2load
from processes import Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

CANDIDATES = (100, 500)
TRANSPORTS = ("direct", "aio")
# Short ones, so that whatever else the machine does meets all of them alike.
ROUNDS = 25
TARGET_RATIO = 1.03
# Prometheus comes every 15 seconds or so: far more often than that, so that each round meets some.
SCRAPE_SECONDS = 0.5
_SECONDS = 0.7
_WARM_UP = 500
_FIRST_PORT = 27_800
_METRICS_PORT = 27_820


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    expected = expected_scores(models_dir)
    tables = []
    for transport in TRANSPORTS:
        with running(_contenders(transport), models_dir, _FIRST_PORT) as processes, _scraped(_METRICS_PORT + 1):
            for count in CANDIDATES:
                rounds = _measure(processes, count, expected)
                log(f"metrics_cost, {transport}, {count} candidates: {ROUNDS} rounds")
                tables.append(f"{transport} transport, {count} candidates:\n\n{_table(rounds)}")
    return (
        f"{h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each that stay open, median of {ROUNDS} "
        "short rounds (lowest to highest). The ratios are of rounds of one turn. The last one is scraped every "
        f"{SCRAPE_SECONDS} s. Target: CPU at most {TARGET_RATIO} times that without metrics.\n\n" + "\n\n".join(tables)
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


def _measure(processes: list[Process], count: int, expected: dict[int, float]) -> dict[Contender, list[h2load.Round]]:
    sizes = {process: max(200, int(_SECONDS * h2load.measure(process, count, _WARM_UP).rate)) for process in processes}
    rounds: dict[Contender, list[h2load.Round]] = {process.contender: [] for process in processes}
    for number in range(ROUNDS):
        for process in processes[:: 1 if number % 2 else -1]:
            h2load.check_answers(process, count, expected)
            rounds[process.contender].append(h2load.measure(process, count, sizes[process]))
    return rounds


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
                verdict(statistics.median(costs), TARGET_RATIO),
                spread([one.rate / other.rate for one, other in pairs], ".3f"),
                f"{statistics.median(one.cpu_us for one in results):.1f}",
                f"{statistics.median(one.rate for one in results):,.0f}",
                f"{statistics.median(one.p99_ms for one in results):.1f}",
            ]
        )
    columns = ["", "CPU, times without", "target", "capacity, times without", "CPU us/request", "requests/s", "p99 ms"]
    return table(columns, rows)
