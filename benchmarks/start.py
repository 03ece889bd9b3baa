"""How long a start takes, and how much memory a server has, at first and after many requests."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h2load
from processes import Process, rankserve
from tables import spread, table, verdict
from throughput import expected_scores

CONTENDER = rankserve("auto")
STARTS = 5
REQUESTS = 20_000
CANDIDATES = 100
TARGET_SECONDS = 8.0
TARGET_MIB = 600.0
_PORT = 27_740


@dataclass(frozen=True)
class Start:
    """One life of a server.

    Attributes:
        seconds: until it was ready.
        first_mib: its memory then.
        last_mib: its memory after the requests.
    """

    seconds: float
    first_mib: float
    last_mib: float


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    starts = []
    for number in range(STARTS):
        starts.append(_start(models_dir, expected))
        log(f"start: {number + 1} of {STARTS}")
    return f"{_introduction()}\n\n{_table(starts)}"


def _start(models_dir: Path, expected: dict[int, float]) -> Start:
    process = Process(CONTENDER, models_dir, _PORT)
    try:
        first = process.resident_mib()
        h2load.measure(process, CANDIDATES, REQUESTS)
        h2load.check_answers(process, CANDIDATES, expected)
        return Start(process.start_seconds, first, process.resident_mib())
    finally:
        process.stop()


def _introduction() -> str:
    return (
        f"`rankserve serve` from the start of the process to its line that says ready, {STARTS} times, and its "
        f"resident memory then and after {REQUESTS:,} requests of {CANDIDATES} candidates: median (lowest to highest). "
        "Whether the files were in the page cache is not controlled."
    )


def _table(starts: list[Start]) -> str:
    figures = (
        ("seconds until ready", [start.seconds for start in starts], ".1f", TARGET_SECONDS),
        ("MiB when ready", [start.first_mib for start in starts], ".0f", TARGET_MIB),
        (f"MiB after {REQUESTS:,} requests", [start.last_mib for start in starts], ".0f", TARGET_MIB),
    )
    rows = [
        [name, spread(values, form), f"{most:.0f}", verdict(statistics.median(values), most)]
        for name, values, form, most in figures
    ]
    return table(["", "measured", "at most", "target"], rows)
