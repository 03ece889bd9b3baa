"""What the default model costs the server beside the tutorial's, and what a stranger with 20 ratings costs."""

import dataclasses
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import h2load
from processes import Contender, Process, rankserve, running
from protocols import RANKING
from tables import spread, table, verdict
from throughput import expected_scores

from rankserve.v1 import ranking_pb2

HISTORY = 20
STRANGER = 1_000_000
CANDIDATES = (100, 500)
ROUNDS = 5
# Of the tutorial's requests per second, and of its 99th percentile.
LEAST_RATE, MOST_P99 = 0.9, 1.1
# A stranger's request may cost so many plain ones of the same model, of 100 candidates.
MOST_HISTORY_COST = 2.0
_FIRST_PORT = 27_760
_SECONDS = 2.0
_WARM_UP = 500


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown; the default model is trained beside the tutorial's if it is not."""
    default_dir = models_dir.with_name("benchmark-default-models")
    if not (default_dir / "movielens").exists():
        command = [str(Path(sys.executable).parent / "rankserve"), "train", "--models-dir", str(default_dir)]
        subprocess.run(command, check=True, capture_output=True)
    contenders = [
        _contender("tutorial", models_dir),
        _contender("two-tower", default_dir),
        dataclasses.replace(
            _contender(f"two-tower, a stranger with {HISTORY} ratings", default_dir),
            ranks=False,
            protocol=dataclasses.replace(RANKING, encode=_encode_stranger),
        ),
    ]
    expected = {contenders[0]: expected_scores(models_dir), contenders[1]: expected_scores(default_dir)}
    with running(contenders, models_dir, _FIRST_PORT) as processes:
        tables = [_table(count, _measure(processes, count, expected, log)) for count in CANDIDATES]
    return (
        "rankserve on the direct transport with models of both presets, "
        f"{h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each, median of {ROUNDS} rounds (lowest to "
        f"highest). Targets: at least {LEAST_RATE} times the tutorial's requests per second, at most {MOST_P99} times "
        f"its p99; a stranger's 100 candidates at most {MOST_HISTORY_COST:g} times the CPU of a known user's.\n\n"
        + "\n\n".join(tables)
    )


def _contender(name: str, models_dir: Path) -> Contender:
    served = rankserve("direct")
    command = tuple(part.replace("{models_dir}", str(models_dir)) for part in served.command)
    return dataclasses.replace(served, name=name, command=command)


def _encode_stranger(_: int, items: Sequence[int]) -> bytes:
    chosen = random.Random(HISTORY)
    rated = chosen.sample(range(1, h2load.ITEMS + 1), HISTORY)
    history = ranking_pb2.History(item_ids=rated, ratings=[chosen.randint(1, 5) for _ in rated])
    request = ranking_pb2.RankRequest(user_id=STRANGER, candidate_ids=items, history=history)
    return request.SerializeToString()


def _measure(
    processes: list[Process], count: int, expected: dict[Contender, dict[int, float]], log: Callable[[str], None]
) -> dict[Contender, list[h2load.Round]]:
    sizes = {process: max(200, int(_SECONDS * h2load.measure(process, count, _WARM_UP).rate)) for process in processes}
    rounds: dict[Contender, list[h2load.Round]] = {process.contender: [] for process in processes}
    for number in range(ROUNDS):
        for process in processes:
            h2load.check_answers(process, count, expected.get(process.contender, {}))
            rounds[process.contender].append(h2load.measure(process, count, sizes[process]))
        log(f"presets, {count} candidates: round {number + 1} of {ROUNDS}")
    return rounds


def _table(count: int, rounds: dict[Contender, list[h2load.Round]]) -> str:
    tutorial, known, stranger = rounds.values()
    rows = []
    for contender, results in rounds.items():
        rate = statistics.median(one.rate / other.rate for one, other in zip(results, tutorial, strict=True))
        p99 = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(results, tutorial, strict=True))
        cpu = statistics.median(result.cpu_us for result in results)
        rates = spread([result.rate for result in results])
        p99s = spread([result.p99_ms for result in results], ".1f")
        rows.append([contender.name, rates, f"{rate:.2f}", f"{cpu:.0f}", p99s, f"{p99:.2f}"])
    columns = ["model", "requests/s", "times the tutorial's", "CPU us/request", "p99 ms", "times the tutorial's"]
    rate = statistics.median(one.rate / other.rate for one, other in zip(known, tutorial, strict=True))
    p99 = statistics.median(one.p99_ms / other.p99_ms for one, other in zip(known, tutorial, strict=True))
    lines = [
        f"{count} candidates:",
        "",
        table(columns, rows),
        "",
        f"Rate: {verdict(LEAST_RATE, rate)}. p99: {verdict(p99, MOST_P99)}.",
    ]
    if count == CANDIDATES[0]:
        cost = statistics.median(one.cpu_us / other.cpu_us for one, other in zip(stranger, known, strict=True))
        lines[-1] += f" A stranger: {cost:.2f} times the CPU of a known user, {verdict(cost, MOST_HISTORY_COST)}."
    return "\n".join(lines)
