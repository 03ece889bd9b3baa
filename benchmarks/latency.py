"""How long callers wait who come at random times, at half of the load that a server can answer."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h2load
from processes import Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

CONTENDERS = [rankserve("direct"), rankserve("aio")]
CANDIDATES = 100
ROUNDS = 3
TARGET_P99_MS = 5.0
_FIRST_PORT = 27_720
_CAPACITY_REQUESTS = 10_000
_SECONDS = 6.0
_GENERATOR = Path(__file__).with_name("open_loop.py")


@dataclass(frozen=True)
class Load:
    """One run of `open_loop.py`; times in milliseconds."""

    rate: float
    requests: int
    late_p99: float
    p50: float
    p99: float
    p99_9: float


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    rounds: dict[Contender, list[Load]] = {contender: [] for contender in CONTENDERS}
    with running(CONTENDERS, models_dir, _FIRST_PORT) as processes:
        for number in range(ROUNDS):
            for process in processes:
                h2load.check_answers(process, CANDIDATES, expected)
                rounds[process.contender].append(_measure(process, number))
            log(f"latency: round {number + 1} of {ROUNDS}")
    return f"{_introduction()}\n\n{_table(rounds)}"


def _measure(process: Process, seed: int) -> Load:
    rate = h2load.measure(process, CANDIDATES, _CAPACITY_REQUESTS).rate / 2
    command = [sys.executable, str(_GENERATOR), process.target, str(rate), str(_SECONDS), str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{process.contender.name}: {ended.stderr}")
    return Load(rate=rate, **json.loads(ended.stdout))


def _introduction() -> str:
    return (
        f"{CANDIDATES} candidates of random users, requests due at random times (Poisson), latency from when a request "
        f"was due; median of {ROUNDS} rounds (lowest to highest), each of {_SECONDS:.0f} s after a closed loop of "
        f"h2load with {h2load.CONNECTIONS * h2load.STREAMS} requests under way, half of whose rate is asked for. "
        "The client shares the processors with the server; how late it sends is part of the latency, and shown by "
        f"itself. Target: p99 below {TARGET_P99_MS:.0f} ms."
    )


def _table(rounds: dict[Contender, list[Load]]) -> str:
    rows = []
    for contender, loads in rounds.items():
        p99 = [load.p99 for load in loads]
        rows.append(
            [
                contender.name,
                spread([load.rate for load in loads]),
                f"{sum(load.requests for load in loads):,}",
                spread([load.p50 for load in loads], ".2f"),
                spread(p99, ".2f"),
                spread([load.p99_9 for load in loads], ".2f"),
                verdict(statistics.median(p99), TARGET_P99_MS),
                spread([load.late_p99 for load in loads], ".2f"),
            ]
        )
    columns = ["server", "requests/s asked", "requests", "p50 ms", "p99 ms", "p99.9 ms", "target", "sent late, p99 ms"]
    return table(columns, rows)
