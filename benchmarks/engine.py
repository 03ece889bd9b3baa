"""The engine alone: what a batch costs by its rows, and how much of that is not arithmetic."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tables import table

from rankserve_server.engine.buckets import BUCKETS
from rankserve_server.engine.engine import Engine
from rankserve_server.loading import load_version
from rankserve_training.artifact import resolve_version

ROUNDS = 9
_ROWS_PER_ROUND = 100_000
# Multiplications and additions: adding the halves, 256 x 64 and 64 x 1, each with its bias.
_OPERATIONS = 256 + 2 * 256 * 64 + 64 + 2 * 64 + 1


@dataclass
class Times:
    """Seconds for each batch, by round.

    Attributes:
        row_of_batches: where the next one is started before the last one is awaited, as the server does under load.
        starting: what of that the caller spends to start one.
        alone: until a lone batch is done; the engine's thread is woken for it, and then the caller.
    """

    row_of_batches: list[float] = field(default_factory=list)
    starting: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    model = load_version(resolve_version(models_dir / "movielens"), lambda: None)
    times = {bucket: Times() for bucket in BUCKETS}
    for _ in range(ROUNDS):
        for bucket in BUCKETS:
            _measure(model.engine, bucket, len(model.users), len(model.catalog), times[bucket])
    log("engine: done")
    return f"{_introduction()}\n\n{_table(times)}"


def _measure(engine: Engine, rows: int, users: int, items: int, times: Times) -> None:
    random = np.random.default_rng(rows)
    user_rows = random.integers(1, users + 1, rows, dtype=np.int32)
    item_rows = random.integers(1, items + 1, rows, dtype=np.int32)
    calls = max(20, _ROWS_PER_ROUND // rows)
    starting = 0.0
    pending = engine.start(user_rows, item_rows)
    begun = time.perf_counter()
    for _ in range(calls):
        before = time.perf_counter()
        following = engine.start(user_rows, item_rows)
        starting += time.perf_counter() - before
        pending.result()
        pending = following
    times.row_of_batches.append((time.perf_counter() - begun) / calls)
    times.starting.append(starting / calls)
    pending.result()
    begun = time.perf_counter()
    for _ in range(calls):
        engine.score(user_rows, item_rows)
    times.alone.append((time.perf_counter() - begun) / calls)


def _introduction() -> str:
    return (
        f"One thread computes, the tutorial's model folded ({_OPERATIONS:,} operations a candidate), median of "
        f"{ROUNDS} rounds. Batches in a row: the next one is started before the last one is awaited, as the server "
        "does under load. Share of dispatch: what the caller spends to start a batch, against the whole. Alone: until "
        "a lone batch is done, for which the engine's thread and then the caller are woken."
    )


def _table(times: dict[int, Times]) -> str:
    medians = {bucket: statistics.median(measured.row_of_batches) for bucket, measured in times.items()}
    best = min(median / bucket for bucket, median in medians.items())
    rows = [
        [
            f"{bucket:,}",
            f"{median * 1e6:.0f}",
            f"{median / bucket * 1e6:.2f}",
            f"{_OPERATIONS * bucket / median / 1e9:.0f}",
            f"{best / (median / bucket):.0%}",
            f"{statistics.median(times[bucket].starting) / median:.0%}",
            f"{statistics.median(times[bucket].alone) * 1e6:.0f}",
        ]
        for bucket, median in medians.items()
    ]
    columns = ["rows", "us a batch in a row", "us a row", "GFLOP/s", "rate against the best", "share of dispatch"]
    return table([*columns, "us alone"], rows)
