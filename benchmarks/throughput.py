"""Requests per second and CPU per request: rankserve against servers that one writes by hand, all in one run."""

import statistics
from collections.abc import Callable
from pathlib import Path

import h2load
import numpy as np
from processes import Contender, Process, baseline, rankserve, running

from rankserve_training.artifact import read_artifact, resolve_version
from rankserve_training.model.predicting import predict_ratings

CONTENDERS = [
    rankserve("direct"),
    rankserve("aio"),
    baseline("empty grpc.aio echo, uvloop", "echo_aio.py", ranks=False),
    baseline("hand-written grpc.aio + jit, uvloop", "aio_jit.py"),
    baseline("grpc.aio + Model.predict, uvloop", "aio_predict.py"),
]
REFERENCE = CONTENDERS[3]
CANDIDATES = (100, 500)
ROUNDS = 5
_FIRST_PORT = 27_700
_WARM_UP = 500
# Enough for some seconds of each contender, but a slow one is not waited for as long as a fast one.
_SECONDS = 2.0


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    return compare(CONTENDERS, REFERENCE, models_dir, _FIRST_PORT, log)


def compare(
    contenders: list[Contender], reference: Contender, models_dir: Path, first_port: int, log: Callable[[str], None]
) -> str:
    """The tables of these servers, on ports from this one on; rates are also given as times the reference's."""
    expected = expected_scores(models_dir)
    tables = []
    with running(contenders, models_dir, first_port) as processes:
        for count in CANDIDATES:
            rounds = _measure_interleaved(processes, count, expected, log)
            memory = {process.contender: process.resident_mib() for process in processes}
            tables.append(_table(count, rounds, memory, reference))
    return "\n\n".join(tables)


def _measure_interleaved(
    processes: list[Process], count: int, expected: dict[int, float], log: Callable[[str], None]
) -> dict[Contender, list[h2load.Round]]:
    """Rounds of all contenders in turn, so that a machine that slows down slows all of them down."""
    sizes = {process: max(200, int(_SECONDS * h2load.measure(process, count, _WARM_UP).rate)) for process in processes}
    rounds: dict[Contender, list[h2load.Round]] = {process.contender: [] for process in processes}
    for number in range(ROUNDS):
        for process in processes:
            h2load.check_answers(process, count, expected)
            rounds[process.contender].append(h2load.measure(process, count, sizes[process]))
        log(f"{len(processes)} servers, {count} candidates: round {number + 1} of {ROUNDS}")
    return rounds


def _table(
    count: int, rounds: dict[Contender, list[h2load.Round]], memory: dict[Contender, float], reference: Contender
) -> str:
    lines = [
        f"{count} candidates, {h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each, "
        f"median of {ROUNDS} rounds (lowest to highest):",
        "",
        "| server | requests/s | times the hand-written one | candidates/s | CPU us/request | p50 ms | p99 ms | MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    reference_rates = [result.rate for result in rounds[reference]]
    for contender, results in rounds.items():
        rates = [result.rate for result in results]
        ratio = statistics.median(rate / other for rate, other in zip(rates, reference_rates, strict=True))
        cpu, p50, p99 = (
            statistics.median(getattr(result, field) for result in results) for field in ("cpu_us", "p50_ms", "p99_ms")
        )
        scored = f"{statistics.median(rates) * count:,.0f}" if contender.ranks else "-"
        lines.append(
            f"| {contender.name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {ratio:.2f} | {scored} | {cpu:.0f} | {p50:.1f} | {p99:.1f} | {memory[contender]:.0f} |"
        )
    return "\n".join(lines)


def expected_scores(models_dir: Path) -> dict[int, float]:
    """What the Keras model gives to every item of MovieLens for the one user who asks."""
    model = read_artifact(resolve_version(models_dir / "movielens")).load_keras_model()
    items = np.arange(1, h2load.ITEMS + 1, dtype=np.int32)
    scores = predict_ratings(model, np.full_like(items, h2load.USER), items)
    return dict(zip(items.tolist(), scores.tolist(), strict=True))
