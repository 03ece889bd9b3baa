"""How good the default model is: by every protocol of `rankserve evaluate`, beside baselines and Surprise's models.

    python benchmarks/model_quality.py [PART…]

Writes benchmarks/MODEL_QUALITY.md; with parts, only those are measured again and the others are left as they are.
"""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from processes import Process, rankserve
from rich.console import Console

from rankserve_client import RankingClient
from rankserve_training.artifact import IdIndex
from rankserve_training.data import Dataset, Items, Users, load
from rankserve_training.evaluation.cold_start import ColdStartCurve, ColdUserProtocol, cold_start_curves, hide_users
from rankserve_training.evaluation.measures import INFO
from rankserve_training.evaluation.result import EvaluationResult
from rankserve_training.evaluation.trials import Trial
from rankserve_training.packaging import publish_model
from rankserve_training.preparation import PreparedData
from rankserve_training.rows import RatedPairs
from rankserve_training.train import TrainingSettings, train_prepared

REPORT = Path(__file__).parent / "MODEL_QUALITY.md"
TUTORIAL_SCRIPT = Path(__file__).parents[1] / "tests" / "training" / "tutorial.py"
SEEDS = (42, 43, 44)
_PORT = 27_780
_ROUNDS = 2
PRESET, TUTORIAL = "two-tower", "tutorial"

_INTRODUCTION = """# Model quality

Written by `python benchmarks/model_quality.py` on MovieLens 100K. In brackets: 95 % intervals, drawn over users, unless
said otherwise.

How the recipe was chosen: by the rule and the search in MODEL_SEARCH.md, on rows that none of the single splits below
tests. The five folds test every row once, those of the search too: they are not nested cross-validation. Every training
chooses its own number of epochs, on a part of its own training rows. What stands for a user of whom nothing is known
was changed, by the search's rows, after "New users" had been measured with another: that one had 1.0301 where no rating
is revealed, all else being equal.
"""


def main(parts: list[str]) -> None:
    """Measures the parts, all of them by default."""
    known = re.findall(r"(?ms)^## ([^\n]+)\n\n(.*?)(?=^## |\Z)", REPORT.read_text()) if REPORT.exists() else []
    sections = {title: body.rstrip() + "\n" for title, body in known}
    for name, (title, measure) in PARTS.items():
        if not parts or name in parts:
            started = time.monotonic()
            sections[title] = measure().rstrip() + "\n"
            print(f"{name}: done in {time.monotonic() - started:.0f} s", flush=True)
            titles = [known_title for known_title, _ in PARTS.values() if known_title in sections]
            body = "\n".join(f"## {known_title}\n\n{sections[known_title]}" for known_title in titles)
            REPORT.write_text(f"{_INTRODUCTION}\n{body}")


def tutorials_split() -> str:
    """Three seeds of the weights, and the tutorial's model, all on the tutorial's split."""
    results = [trial(seed=seed).run("split") for seed in SEEDS]
    lines = [f"Measured on {date.today()}. The tutorial's split, 20,000 rows; seed {SEEDS[0]} of the weights.\n"]
    lines.append(measures(results[0], trial(preset=TUTORIAL).run("split")))
    rmses = [value(result, 0, "rmse") for result in results]
    lines.append(f"RMSE with the seeds {', '.join(map(str, SEEDS))}: {', '.join(f'{rmse:.4f}' for rmse in rmses)}.")
    return "\n".join(lines)


def folds() -> str:
    """Five random folds beside Surprise's models on the same."""
    result = trial(compare=True).run("folds")
    head = f"Measured on {date.today()}. Five random folds; in brackets the lowest and the highest of them.\n"
    return f"{head}\n{measures(result, keys=('rmse', 'mae', 'ndcg_at_10'))}"


def without_features() -> str:
    """The ratings alone."""
    dataset = load()
    ids = dataset.items.ids
    bare = dataclasses.replace(
        dataset, users=Users(dataset.users.ids), items=Items(ids, ("",) * len(ids), ((),) * len(ids))
    )
    result = trial(bare).run("split")
    head = (
        f"Measured on {date.today()}. The tutorial's split, without ages, occupations, genres, years: ratings alone.\n"
    )
    return f"{head}\n{measures(result, keys=('rmse', 'mae', 'ndcg_at_10'))}"


def catalogue() -> str:
    """A quarter held out, as in Microsoft's benchmark."""
    result = trial().run("catalogue")
    head = (
        f"Measured on {date.today()}. A random quarter held out; the whole catalogue ranked by the second output, what "
        "was trained on removed.\n"
    )
    keys = ("catalogue_ndcg_at_10", "recall_at_10", "precision_at_10", "coverage")
    return f"{head}\n{measures(result, keys=keys)}"


def new_users() -> str:
    """Users hidden from training, also as a running server ranks for them."""
    result = trial().run("new-users")
    curves = [*result.cold_start, served_newcomers()]
    numbers = [point.revealed for point in curves[0].points]
    lines = [
        f"Measured on {date.today()}. RMSE; {result.protocol}, on the same rows each time.\n",
        f"| ratings revealed | {' | '.join(map(str, numbers))} |",
        f"|---|{'---|' * len(numbers)}",
    ]
    lines += [
        f"| {curve.name} | {' | '.join(f'{point.accuracy.rmse:.4f}' for point in curve.points)} |" for curve in curves
    ]
    return "\n".join(lines)


def served_newcomers() -> ColdStartCurve:
    """The same users by `history` in requests to a server that serves the same training."""
    subject = trial()
    dataset, users = subject.dataset, IdIndex(subject.dataset.users.ids)
    items = IdIndex(dataset.items.ids)
    pairs = RatedPairs.of(dataset.ratings, users, items)
    cold = hide_users(pairs, ColdUserProtocol(seed=subject.settings.split_seed))
    data = PreparedData(users, items, cold.train, cold.test, "random", "")
    trained = train_prepared(dataset.description(), data, subject.settings, subject.console)
    with tempfile.TemporaryDirectory() as directory:
        publish_model(trained, Path(directory), "newcomers")
        server = Process(rankserve("auto"), Path(directory), _PORT)
        try:
            with RankingClient(server.target) as client:

                def rate(history: RatedPairs, tested: RatedPairs) -> npt.NDArray[np.float32]:
                    ratings = np.empty(len(tested), np.float32)
                    for user in np.unique(tested.users):
                        own, known = np.flatnonzero(tested.users == user), np.flatnonzero(history.users == user)
                        told = zip(items.ids[history.items[known] - 1], history.ratings[known].tolist(), strict=True)
                        candidates = items.ids[tested.items[own] - 1]
                        answer = client.rank(0, candidates, history=list(told) or None, order="as_sent")
                        ratings[own] = answer.scores
                    return ratings

                return cold_start_curves(cold, {"two-tower, by requests to a server": rate})[0]
        finally:
            server.stop()


def new_items() -> str:
    """Items hidden from training."""
    result = trial().run("new-items")
    lines = [
        f"Measured on {date.today()}. {result.protocol}, of which nothing is known but genres and year.\n",
        "| model | RMSE |",
        "|---|---|",
    ]
    return "\n".join([*lines, *(f"| {found.name} | {found.accuracy.rmse:.4f} |" for found in result.cold_items)])


def training_time() -> str:
    """Wall-clock time, beside the tutorial's own script."""
    command = [
        str(Path(sys.executable).parent / "rankserve"),
        "train",
        "--models-dir",
        "build/quality-models",
        "--preset",
    ]
    rows = {
        "the tutorial's script (tf.data, model.fit)": [
            sys.executable,
            str(TUTORIAL_SCRIPT),
            "build/tutorial.npz",
            "42",
        ],
        "`rankserve train --preset tutorial`": [*command, TUTORIAL],
        "`rankserve train` (two-tower)": [*command, PRESET],
    }
    lines = [
        f"Measured on {date.today()}, 2 processors. Whole processes, from start to end, imports and the final measures "
        f"included; median (lowest to highest) of {_ROUNDS}, in turn.\n",
        "| | s |",
        "|---|---|",
    ]
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(_ROUNDS):
        for name, arguments in rows.items():
            started = time.monotonic()
            subprocess.run(arguments, check=True, capture_output=True)
            seconds[name].append(time.monotonic() - started)
    lines += [
        f"| {name} | {np.median(each):.1f} ({min(each):.1f} to {max(each):.1f}) |" for name, each in seconds.items()
    ]
    return "\n".join(lines)


def ten_million() -> str:
    """Time and memory with a hundred times as many ratings, drawn at random."""
    command = [sys.executable, str(Path(__file__).parent / "large_training.py")]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    mib = 1024 * 1024
    ratings, peak = found["ratings_bytes"], found["peak_bytes"]
    lines = [
        f"Measured on {date.today()}, 2 processors, by `python benchmarks/large_training.py`: the default preset with "
        f"one epoch in each of its fits, of the data set synthetic/10m; {found['seconds']:.0f} s from start to end.\n",
        "| last epoch of | after s | memory by then, at most |",
        "|---|---|---|",
        *(
            f"| {line['line'].strip()} | {line['seconds']:.0f} | {line['peak_bytes'] / mib:,.0f} MiB |"
            for line in found["lines"]
            if "1/1" in line["line"]
        ),
        f"\nThe ratings take {ratings / mib:,.0f} MiB, ids and times included; the process held {peak / mib:,.0f} MiB "
        f"at most, {peak / ratings:.1f} times as much.",
    ]
    return "\n".join(lines)


def trial(dataset: Dataset | None = None, preset: str = PRESET, seed: int = 42, compare: bool = False) -> Trial:
    """Rows are chosen with seed 42, weights with `seed`."""
    settings = TrainingSettings(preset, None, seed, 42)
    return Trial(dataset or load(), settings, Console(stderr=True, highlight=False), compare)


def measures(result: EvaluationResult, *others: EvaluationResult, keys: tuple[str, ...] = ()) -> str:
    """A row for each model: those of the first result, and the evaluated ones of the others."""
    models = [*result.models[:1], *(other.models[0] for other in others), *result.models[1:]]
    wanted = keys or tuple(measure.key for measure in result.models[0].measures)
    lines = [
        f"| model | {' | '.join(INFO[key].title for key in wanted)} |",
        f"|---|{'---|' * len(wanted)}",
    ]
    for model in models:
        cells = []
        for key in wanted:
            measure = model.measure(key)
            if measure is None:
                cells.append("-")
            elif measure.low is None or measure.high is None:
                cells.append(f"{measure.value:.4f}")
            else:
                cells.append(f"{measure.value:.4f} ({measure.low:.4f} to {measure.high:.4f})")
        lines.append(f"| {model.name.removesuffix('/new')} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def value(result: EvaluationResult, place: int, key: str) -> float:
    """A measure of one of the models."""
    measure = result.models[place].measure(key)
    assert measure is not None
    return measure.value


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "split": ("The tutorial's split", tutorials_split),
    "folds": ("Five folds", folds),
    "bare": ("Ratings alone", without_features),
    "catalogue": ("The whole catalogue", catalogue),
    "users": ("New users", new_users),
    "items": ("New items", new_items),
    "time": ("Training time", training_time),
    "large": ("Ten million ratings", ten_million),
}

if __name__ == "__main__":
    main(sys.argv[1:])
