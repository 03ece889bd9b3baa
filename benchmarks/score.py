"""Whole populations scored into files, beside the engine with nothing to write: `python benchmarks/score.py`."""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from synthetic import NAME, publish_synthetic
from tables import spread, table

from rankserve_server.config import user_program_cache
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.programs import keep_programs_in
from rankserve_server.loading import load_version
from rankserve_training.artifact import resolve_version

USERS, ITEMS = 100_000, 1_682
ROUNDS = 3
TARGET = 0.7
_TOP_K = (10, 100)
_CALLS_IN_FLIGHT = 32
_RANKSERVE = str(Path(sys.executable).with_name("rankserve"))

_engines: list[Engine] = []


def run(_: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    with tempfile.TemporaryDirectory(prefix="rankserve-score-") as place:
        models_dir = Path(place) / "models"
        publish_synthetic(models_dir, USERS, ITEMS)
        return measured(models_dir / NAME, Path(place), log)


def measured(model: Path, place: Path, log: Callable[[str], None], rounds: int = ROUNDS) -> str:
    """The same of a published model with USERS users and ITEMS items."""
    processes = len(os.sched_getaffinity(0))
    engine_rates: list[float] = []
    score_rates: dict[int, list[float]] = {top_k: [] for top_k in _TOP_K}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_load, initargs=(model,)) as pool:
        list(pool.map(_compute, [ITEMS * 100] * processes))
        for number in range(rounds):
            engine_rates.append(_engine_rate(pool, processes))
            for top_k in _TOP_K:
                score_rates[top_k].append(_score_rate(model, place / f"scores-{number}-{top_k}", top_k))
                log(f"score: top {top_k}: {score_rates[top_k][-1] / engine_rates[-1]:.0%} of the engine's rate")
    return f"{_introduction(processes)}\n\n{_table(engine_rates, score_rates)}"


def _load(model: Path) -> None:
    keep_programs_in(user_program_cache())
    _engines.append(load_version(resolve_version(model), lambda: None).engine)


def _compute(pairs: int) -> None:
    """Scores so many pairs in the order in which whole populations are scored, and throws them away."""
    (engine,) = _engines
    items = np.resize(np.arange(1, ITEMS + 1, dtype=np.int32), engine.slice_rows + ITEMS)
    pending = []
    for start in range(0, pairs, engine.slice_rows):
        first = start % ITEMS
        users = np.arange(start, start + engine.slice_rows) // ITEMS % USERS + 1
        pending.append(engine.start(users.astype(np.int32), items[first : first + engine.slice_rows]))
        if len(pending) == _CALLS_IN_FLIGHT:
            pending.pop(0).result()
    for each in pending:
        each.result()


def _engine_rate(pool: ProcessPoolExecutor, processes: int) -> float:
    """Pairs a second of as many engines as there are processors."""
    share = USERS * ITEMS // processes
    started = time.perf_counter()
    list(pool.map(_compute, [share] * processes))
    return processes * share / (time.perf_counter() - started)


def _score_rate(model: Path, output: Path, top_k: int) -> float:
    """Pairs a second of the command, from its start to its end."""
    command = [_RANKSERVE, "score", "--model", str(model), "--output", str(output), "--top-k", str(top_k)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    rows = sum(pq.read_metadata(path).num_rows for path in output.glob("*.parquet"))
    assert rows == json.loads((output / "_SUCCESS").read_text())["rows"] == USERS * top_k
    return USERS * ITEMS / seconds


def _introduction(processes: int) -> str:
    return (
        f"{USERS:,} users x {ITEMS:,} items of the tutorial's architecture, {processes} processes, {ROUNDS} rounds in "
        "turn. The engine alone: as many engines that are loaded already score the same pairs and throw the scores "
        "away. `rankserve score`: the command from its start to its end, with loading, verifying, sorting and writing."
    )


def _table(engine_rates: list[float], score_rates: dict[int, list[float]]) -> str:
    rows = [["the engine alone", spread(engine_rates), "", ""]]
    for top_k, rates in score_rates.items():
        ratios = [rate / engine for rate, engine in zip(rates, engine_rates, strict=True)]
        reached = "met" if statistics.median(ratios) >= TARGET else "missed"
        name = f"`rankserve score --top-k {top_k}`"
        rows.append([name, spread(rates), spread(ratios, ".0%"), f"{TARGET:.0%}: {reached}"])
    return table(["", "users x items a second", "share of the engine's rate", "target"], rows)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(run(Path(), _log))
