"""How long callers wait who come at random times, at half of the load that a server can answer."""

import statistics
from collections.abc import Callable
from pathlib import Path

import bench_command
import h2load
from bench_command import Load
from processes import Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

CONTENDERS = [rankserve("direct"), rankserve("aio")]
CANDIDATES = 100
ROUNDS = 3
TARGET_P99_MS = 5.0
_FIRST_PORT = 27_720
_CONCURRENCY = 64
_CAPACITY_SECONDS = 2.0
_SECONDS = 6.0


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    rounds: dict[Contender, list[tuple[float, Load]]] = {contender: [] for contender in CONTENDERS}
    with running(CONTENDERS, models_dir, _FIRST_PORT) as processes:
        for number in range(ROUNDS):
            for process in processes:
                h2load.check_answers(process, CANDIDATES, expected)
                rounds[process.contender].append(_measure(process))
            log(f"latency: round {number + 1} of {ROUNDS}")
    return f"{_introduction()}\n\n{_table(rounds)}"


def _measure(process: Process) -> tuple[float, Load]:
    """The rate that was asked for, and what came of it."""
    closed = bench_command.load(
        process, f"--concurrency={_CONCURRENCY}", f"--duration={_CAPACITY_SECONDS}", f"--candidates={CANDIDATES}"
    )
    rate = closed.rate / 2
    return rate, bench_command.load(process, f"--rate={rate}", f"--duration={_SECONDS}", f"--candidates={CANDIDATES}")


def _introduction() -> str:
    return (
        f"{CANDIDATES} candidates of random users, requests due at random times (Poisson), latency from when a request "
        f"was due; median of {ROUNDS} rounds (lowest to highest), each of {_SECONDS:.0f} s after a closed loop of "
        f"{_CONCURRENCY} callers, half of whose rate is asked for. That capacity is of server and generator together, "
        f"which share the processors: h2load costs less and gets more. Target: p99 below {TARGET_P99_MS:.0f} ms."
    )


def _table(rounds: dict[Contender, list[tuple[float, Load]]]) -> str:
    rows = []
    for contender, results in rounds.items():
        loads = [load for _, load in results]
        p50, p99, p999 = ([load.latency_ms[name] for load in loads] for name in ("p50", "p99", "p99_9"))
        rows.append(
            [
                contender.name,
                spread([rate for rate, _ in results]),
                bench_command.requests(loads),
                spread(p50, ".2f"),
                spread(p99, ".2f"),
                spread(p999, ".2f"),
                verdict(statistics.median(p99), TARGET_P99_MS),
                bench_command.own_limits(loads),
            ]
        )
    columns = ["server", "requests/s asked", "requests", "p50 ms", "p99 ms", "p99.9 ms", "target", "generator too slow"]
    return table(columns, rows)
