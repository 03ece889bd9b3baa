"""The engine alone: what a batch costs by its rows, and how much of that is not arithmetic.

A line through the times of the large buckets would be another measure of what is not arithmetic, but its fixed part
comes out below zero: a row costs more in a large batch, whose rows do not fit into the cache. So the measure is a
compiled function that does nothing, called with the same arguments.
"""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tables import table

from rankserve_server.engine.buckets import BUCKETS
from rankserve_server.engine.jax_setup import jax
from rankserve_server.loading import load_version
from rankserve_training.artifact import resolve_version

ROUNDS = 9
_ROWS_PER_ROUND = 100_000
# Multiplications and additions: adding the halves, 256 x 64 and 64 x 1, each with its bias.
_OPERATIONS = 256 + 2 * 256 * 64 + 64 + 2 * 64 + 1


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    model = load_version(resolve_version(models_dir / "movielens"), lambda: None)
    idle = _idle_calls(len(model.users), len(model.catalog))
    times: dict[int, list[float]] = {bucket: [] for bucket in BUCKETS}
    idle_times: dict[int, list[float]] = {bucket: [] for bucket in BUCKETS}
    for _ in range(ROUNDS):
        for bucket in BUCKETS:
            sizes = (bucket, len(model.users), len(model.catalog))
            times[bucket].append(_seconds_per_call(model.engine.score, *sizes))
            idle_times[bucket].append(_seconds_per_call(idle[bucket], *sizes))
    log("engine: done")
    return f"{_introduction()}\n\n{_table(times, idle_times)}"


def _idle_calls(users: int, items: int) -> dict[int, Callable[..., object]]:
    """For every bucket a compiled function that takes what the engine's takes and computes nothing of it."""
    shapes = [(users + 1, 256), (items + 1, 256), (256, 64), (64,), (64, 1), (1,)]
    tables = jax.device_put([np.zeros(shape, np.float32) for shape in shapes])
    return {bucket: _idle_call(tables, bucket) for bucket in BUCKETS}


def _idle_call(tables: Any, bucket: int) -> Callable[..., object]:
    def nothing(_tables: Any, users: Any, _items: Any) -> Any:
        return users.astype(np.float32)

    rows = jax.ShapeDtypeStruct((bucket,), np.int32)
    compiled: Any = jax.jit(nothing, keep_unused=True).lower(tables, rows, rows).compile()
    return lambda users, items: np.asarray(compiled(tables, users, items))


def _introduction() -> str:
    return (
        f"One thread, the tutorial's model folded ({_OPERATIONS:,} operations a candidate), median of {ROUNDS} rounds. "
        "Share of dispatch: what a compiled function that computes nothing takes with the same arguments, against the "
        "whole."
    )


def _table(times: dict[int, list[float]], idle_times: dict[int, list[float]]) -> str:
    best = min(statistics.median(seconds) / bucket for bucket, seconds in times.items())
    rows = []
    for bucket, seconds in times.items():
        median = statistics.median(seconds)
        share = statistics.median(idle / whole for idle, whole in zip(idle_times[bucket], seconds, strict=True))
        rows.append(
            [
                f"{bucket:,}",
                f"{median * 1e6:.0f}",
                f"{median / bucket * 1e6:.2f}",
                f"{_OPERATIONS * bucket / median / 1e9:.0f}",
                f"{best / (median / bucket):.0%}",
                f"{share:.1%}",
            ]
        )
    columns = ["rows", "us a batch", "us a row", "GFLOP/s", "rate against the best", "share of dispatch"]
    return table(columns, rows)


def _seconds_per_call(score: Callable[..., object], rows: int, users: int, items: int) -> float:
    random = np.random.default_rng(rows)
    user_rows = random.integers(1, users + 1, rows, dtype=np.int32)
    item_rows = random.integers(1, items + 1, rows, dtype=np.int32)
    calls = max(20, _ROWS_PER_ROUND // rows)
    started = time.perf_counter()
    for _ in range(calls):
        score(user_rows, item_rows)
    return (time.perf_counter() - started) / calls
