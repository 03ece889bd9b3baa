"""What small requests suffer from large ones: the latency of the small ones, without and with large ones among them."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench_command
import h2load
from bench_command import Load
from processes import Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

CONTENDERS = [rankserve("direct"), rankserve("aio")]
SMALL, LARGE = 100, 10_000
# So low that no server is saturated, as the table shows: what is seen is waiting, not overload.
RATE = 500.0
SMALL_FOR_EACH_LARGE = 20
TARGET_RATIO = 3.0
ROUNDS = 3
_SECONDS = 5.0
_WARM_UP = 1.0
_FIRST_PORT = 27_730
_SCRIPT = Path(__file__).with_name("large_requests.py")


@dataclass(frozen=True)
class Round:
    """One measurement without and one with large requests, one after the other.

    Attributes:
        alone: the small ones without large ones.
        beside: the small ones beside large ones.
        busy: CPU seconds of the server for each second, beside large ones.
        large: what the sender of the large ones counted.
    """

    alone: Load
    beside: Load
    busy: float
    large: dict[str, Any]


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    rounds: dict[Contender, list[Round]] = {contender: [] for contender in CONTENDERS}
    with running(CONTENDERS, models_dir, _FIRST_PORT) as processes:
        for number in range(ROUNDS):
            for process in processes:
                h2load.check_answers(process, SMALL, expected)
                h2load.check_answers(process, LARGE, expected)
                rounds[process.contender].append(_measure(process))
            log(f"fairness: round {number + 1} of {ROUNDS}")
    return f"{_introduction()}\n\n{_table(rounds)}"


def _measure(process: Process) -> Round:
    alone = _small_load(process)
    with _large_load(process) as large:
        before = process.cpu_seconds()
        beside = _small_load(process)
        # The large requests begin before the small ones and their warm-up do: at most this.
        busy = (process.cpu_seconds() - before) / (_WARM_UP + _SECONDS)
    if large["wrong"]:
        raise RuntimeError(f"{process.contender.name}: {large}")
    return Round(alone, beside, busy, large)


def _small_load(process: Process) -> Load:
    """The same requests at the same times whenever it is called."""
    options = (f"--rate={RATE}", f"--candidates={SMALL}", f"--duration={_SECONDS}", f"--warm-up={_WARM_UP}")
    return bench_command.load(process, *options)


@contextmanager
def _large_load(process: Process) -> Iterator[dict[str, Any]]:
    """Large requests while this is open; what they came to is there afterwards."""
    arguments = (process.target, str(RATE / SMALL_FOR_EACH_LARGE), str(LARGE), str(h2load.ITEMS))
    sender = subprocess.Popen([sys.executable, str(_SCRIPT), *arguments], stdout=subprocess.PIPE, text=True)
    assert sender.stdout is not None
    result: dict[str, Any] = {}
    try:
        if "ready" not in sender.stdout.readline():
            raise RuntimeError(f"{_SCRIPT} did not start")
        yield result
    finally:
        sender.terminate()
        output, _ = sender.communicate()
    result.update(json.loads(output))


def _introduction() -> str:
    return (
        f"{RATE:.0f} requests/s of {SMALL} candidates at random times, the same requests at the same times without "
        f"and with 1 request of {LARGE:,} candidates for every {SMALL_FOR_EACH_LARGE}, which another process sends. "
        "Latency of the small ones only, which holds what they wait for processors that the server shares with both "
        f"clients; median of {ROUNDS} rounds (lowest to highest) of {_SECONDS:.0f} s. The server's CPU, at most, says "
        f"that it was not saturated. Target: p99 at most {TARGET_RATIO:.0f} times that without large ones."
    )


def _table(rounds: dict[Contender, list[Round]]) -> str:
    columns = ["server", "large ones", "p50 ms", "p99 ms", "times", "target", "requests"]
    columns += ["generator too slow", "server's CPU"]
    rows = []
    for contender, results in rounds.items():
        alone, beside = [result.alone for result in results], [result.beside for result in results]
        ratios = [result.beside.latency_ms["p99"] / result.alone.latency_ms["p99"] for result in results]
        large = f"{sum(result.large['answered'] for result in results):,}"
        large += f", p50 {statistics.median(result.large['p50_ms'] for result in results):.0f} ms"
        busy = f"{statistics.median(result.busy for result in results):.0%}"
        met = verdict(statistics.median(ratios), TARGET_RATIO)
        rows.append([contender.name, "none", *_latency(alone), "1", "", *_generator(alone), ""])
        rows.append([contender.name, large, *_latency(beside), spread(ratios, ".1f"), met, *_generator(beside), busy])
    return table(columns, rows)


def _latency(loads: list[Load]) -> list[str]:
    return [spread([load.latency_ms[name] for load in loads], ".2f") for name in ("p50", "p99")]


def _generator(loads: list[Load]) -> list[str]:
    return [bench_command.requests(loads), bench_command.own_limits(loads)]
