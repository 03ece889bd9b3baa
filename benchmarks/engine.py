"""The engine alone: what a batch costs by its rows, and how much of that is not arithmetic."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rankserve_server.engine.buckets import BUCKETS
from rankserve_server.loading import load_version
from rankserve_training.artifact import resolve_version

ROUNDS = 9
_ROWS_PER_ROUND = 100_000
# Multiplications and additions: adding the halves, 256 x 64 and 64 x 1, each with its bias.
_OPERATIONS = 256 + 2 * 256 * 64 + 64 + 2 * 64 + 1


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    model = load_version(resolve_version(models_dir / "movielens"), lambda: None)
    engine = model.engine
    times: dict[int, list[float]] = {bucket: [] for bucket in BUCKETS}
    for _ in range(ROUNDS):
        for bucket in BUCKETS:
            times[bucket].append(_seconds_per_call(engine.score, bucket, len(model.users), len(model.catalog)))
    log("engine: done")
    best = min(statistics.median(seconds) / bucket for bucket, seconds in times.items())
    lines = [
        f"One thread, the tutorial's model folded ({_OPERATIONS:,} operations a candidate), median of {ROUNDS} rounds:",
        "",
        "| rows | us a batch | us a row | GFLOP/s | rate against the best |",
        "|---|---|---|---|---|",
    ]
    for bucket, seconds in times.items():
        median = statistics.median(seconds)
        rate = _OPERATIONS * bucket / median / 1e9
        lines.append(
            f"| {bucket:,} | {median * 1e6:.0f} | {median / bucket * 1e6:.2f} | {rate:.0f} "
            f"| {best / (median / bucket):.0%} |"
        )
    return "\n".join(lines)


def _seconds_per_call(score: Callable[..., object], rows: int, users: int, items: int) -> float:
    random = np.random.default_rng(rows)
    user_rows = random.integers(1, users + 1, rows, dtype=np.int32)
    item_rows = random.integers(1, items + 1, rows, dtype=np.int32)
    calls = max(20, _ROWS_PER_ROUND // rows)
    started = time.perf_counter()
    for _ in range(calls):
        score(user_rows, item_rows)
    return (time.perf_counter() - started) / calls
