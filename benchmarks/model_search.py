"""The search that the default model's recipe comes from, on rows that no single split of model_quality.py tests.

    python benchmarks/model_search.py

Takes about half an hour on two processors. What is done is kept in build/model_search.jsonl, so that a search that was
stopped goes on; delete that file after a change of the towers. Writes benchmarks/MODEL_SEARCH.md and says at its end
what `towers/recipe.py` should hold.
"""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from search_rule import Outcome, Tried, best_of, choose, standard_error
from search_space import CHOICES, RATINGS, Part, Recipe, Search, Step

from rankserve_training.artifact import IdIndex
from rankserve_training.baselines import item_mean
from rankserve_training.data import Dataset, load
from rankserve_training.evaluation.cold_start import ColdUserProtocol, ColdUsers, hide_items, hide_users
from rankserve_training.evaluation.protocols import random_split, time_split
from rankserve_training.metrics import rmse
from rankserve_training.model.two_tower import TowerRows
from rankserve_training.rows import RatedPairs
from rankserve_training.towers.export import ExportedTowers
from rankserve_training.towers.fitting import best_epoch
from rankserve_training.towers.recipe import ChoiceRecipe, RatingRecipe, TwoTowerRecipe
from rankserve_training.towers.train import TowerTrainer
from rankserve_training.towers.validation import pair_ratings

REPORT = Path(__file__).parent / "MODEL_SEARCH.md"
FOUND = Path("build/model_search.jsonl")
SEEDS = (1, 2, 3, 4)
AVERAGE_SEEDS = (1, 2, 3, 4, 5, 6, 7, 8)
PROCESSES = 2
# Of the choice of rows in model_quality.py, and the share that its protocol of the catalogue tests.
SPLIT_SEED, CATALOGUE_SHARE = 42, 0.25
# There are half as many search rows as model_quality.py trains on: with batches half as large as the default recipe's
# an epoch has as many steps, to which rates and weight decay belong.
BATCH_RATINGS, BATCH_USERS = 1_536, 24
# The catalogue protocol's, so that as much is held out; the ratings' is the recipe's own.
CHOICE_VALIDATION = 0.25

Int64s = npt.NDArray[np.int64]

_RULE = """The rule, written before the search was run:

1. Coordinate descent, once through the steps below in their order, from starting points of round numbers: for choices
   those of the Mult-DAE paper as far as it has them (half of the entries dropped, Adam's usual rate). The recipe that
   was the default before is measured for comparison; it is not a starting point, and no candidate unless the steps come
   to it.
2. Every value is trained with {seeds} seeds, each with other validation rows and weights. Values are compared seed by
   seed: a value is worse than the best one if it is so by more than one standard error of the mean difference.
3. What is not worse than the best one: of sizes and numbers of epochs the cheapest is taken; of anything else the
   current value, or the best one where the current is worse.
4. The shares of strangers are chosen in the same way by the RMSE of hidden users, the mean over 0, 1, 5, 10 and 20
   ratings revealed, among those whose RMSE on the validation rows is not worse than the current ones'.
5. A value is left out where the processor time of an epoch, times the most epochs, is more than {work_rating} times
   that of the recipe before for ratings, or {work_choice} times for choices. That recipe took 71 s for MovieLens 100K
   on two processors, start and end of the process included, so that at most 85 s are spent; 90 are allowed.

Steps 15 to 18 of the ratings were added when the outcome of all others was known: items' raters were built later."""

_INTRODUCTION = """# How the default model's recipe was chosen

Written by `python benchmarks/model_search.py` on {today}, which is the search itself.

Search rows: the {all_rows:,} ratings of MovieLens 100K less all that a single-split protocol of model_quality.py or
`rankserve evaluate` tests: the tutorial's split ({split:,} rows), a quarter of the catalogue ({catalogue:,}), all
ratings of the hidden users ({users:,}) and of the hidden items ({items:,}), and the last fifth by time ({time:,}).
They overlap; {left:,} rows are left, of {left_users:,} users and {left_items:,} items. Batches are half as large as in
training, so that an epoch has as many steps. Of the ratings' figures a tenth of the users with 25 or more search rows
are hidden and then a tenth of the rows held out; for choices a quarter of the rows. RMSE in stars at the epoch with the
lowest one on the rows held out; nDCG@10 of the whole catalogue, what was trained on removed, at the best epoch: both
are a little better than they would be on rows that do not choose the epoch, for all values alike.

{rule}

What the search does not try, and is as it was set by hand on the validation rows of an earlier search: the sizes of
batches, patience, the share of validation rows, the bins of features, the form of the towers.

Mean over the seeds and, after ±, their standard deviation; then the mean difference from the best value that was
compared, seed by seed, with its standard error; processor seconds of an epoch. Bold: taken.
"""


def main() -> None:
    """Searches, and writes what was tried and what came of it."""
    # A training uses one processor, so that two at once take no longer than each by itself.
    os.environ["PJRT_NPROC"] = "1"
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    sections = [introduction(load())]
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        trainings = Trainings(pool)
        for search in (RATINGS, CHOICES):
            lines: list[str] = []
            for line in descend(search, trainings):
                print(line, flush=True)
                lines.append(line)
                REPORT.write_text("\n".join([*sections, *lines]).rstrip() + "\n")
            sections += lines
        sections += average_user(pool)
        REPORT.write_text("\n".join(sections).rstrip() + "\n")


def search_rows(dataset: Dataset) -> tuple[Int64s, dict[str, Int64s]]:
    """Row numbers of the ratings that may be used to choose a recipe, ascending; and by protocol those that it tests.

    Of hidden users and items all ratings are left out, also those that are not tested.
    """
    pairs = RatedPairs.of(dataset.ratings, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids))
    count = len(pairs)
    seen_users = hide_users(pairs, ColdUserProtocol(seed=SPLIT_SEED)).train.users
    seen_items = hide_items(pairs, seed=SPLIT_SEED).train.items
    tested = {
        "split": random_split(count, SPLIT_SEED)[1],
        "catalogue": np.random.default_rng(SPLIT_SEED).permutation(count)[: round(count * CATALOGUE_SHARE)],
        "users": np.flatnonzero(~np.isin(pairs.users, seen_users)),
        "items": np.flatnonzero(~np.isin(pairs.items, seen_items)),
        "time": time_split(dataset.ratings.timestamps)[1],
    }
    return np.setdiff1d(np.arange(count), np.concatenate(list(tested.values()))), tested


def introduction(dataset: Dataset) -> str:
    """What is searched on, and by which rule."""
    rows, tested = search_rows(dataset)
    left = dataset.ratings.take(rows)
    rule = _RULE.format(seeds=len(SEEDS), work_rating=RATINGS.most_work, work_choice=CHOICES.most_work)
    return _INTRODUCTION.format(
        today=date.today(),
        all_rows=len(dataset.ratings),
        left=len(rows),
        left_users=len(np.unique(left.user_ids)),
        left_items=len(np.unique(left.item_ids)),
        rule=rule,
        **{name: len(each) for name, each in tested.items()},
    )


def descend(search: Search, trainings: "Trainings") -> Iterator[str]:
    """Coordinate descent by the rule; yields the report line by line as it goes."""
    titles = {"rating": "Rating towers", "choice": "Choice towers"}
    yield f"## {titles[search.part]}\n"
    (outcomes,) = trainings.outcomes(search.part, [search.before])
    before = Tried((), search.before, outcomes)
    yield f"The recipe before: {_figures(before, search)}.\n"
    recipe = search.start
    for number, step in enumerate(search.steps, start=1):
        now = tuple(getattr(recipe, name) for name in step.fields)
        recipes = [_with(recipe, step, value) for value in step.values]
        found = trainings.outcomes(search.part, recipes)
        tried = [Tried(*each) for each in zip(step.values, recipes, found, strict=True)]
        current = next(each for each in tried if each.value == now)
        chosen = choose(step, tried, current, search.sign, search.most_work * before.work)
        yield from _table(number, step, tried, chosen, search)
        recipe = chosen.recipe
    yield f"Taken: `{recipe}`, {_figures(chosen, search)}.\n"


def _with(recipe: Recipe, step: Step, value: tuple[Any, ...]) -> Recipe:
    return dataclasses.replace(recipe, **dict(zip(step.fields, value, strict=True)))


def _table(number: int, step: Step, tried: "Sequence[Tried]", chosen: "Tried", search: Search) -> Iterator[str]:
    measure = "hidden users' RMSE" if step.strangers else "RMSE" if search.part == "rating" else "nDCG@10"
    other = " RMSE of the rows held out |" if step.strangers else ""
    yield f"| {number}. {', '.join(step.fields)} | {measure} | from the best |{other} best epochs | s |"
    yield f"|---|---|---|{'---|' if other else ''}---|---|"
    best = best_of(tried, search.sign, step.strangers)
    for each in tried:
        figures = each.figures(step.strangers)
        differences = figures - best.figures(step.strangers)
        name = ", ".join(map(str, each.value))
        cells = [
            f"**{name}**" if each is chosen else name,
            f"{figures.mean():.4f} ± {figures.std(ddof=1):.4f}",
            "" if each is best else f"{differences.mean():+.4f} ± {standard_error(differences):.4f}",
            *([f"{each.figures(strangers=False).mean():.4f}"] if other else []),
            ", ".join(str(outcome.epoch) for outcome in each.outcomes),
            f"{each.work / each.recipe.epochs:.2f}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _figures(tried: "Tried", search: Search) -> str:
    figures = tried.figures(strangers=False)
    if search.part == "choice":
        return f"nDCG@10 {figures.mean():.4f} ± {figures.std(ddof=1):.4f}"
    cold = np.mean([outcome.cold for outcome in tried.outcomes], axis=0)
    return (
        f"RMSE {figures.mean():.4f} ± {figures.std(ddof=1):.4f}; of hidden users "
        f"{', '.join(f'{each:.4f}' for each in cold)} with 0, 1, 5, 10 and 20 ratings revealed"
    )


def train_rating(recipe: RatingRecipe, seed: int) -> Outcome:
    """Hides users, holds rows of the others out, and trains on the rest."""
    dataset, rows = _material()
    cold = hide_users(rows, ColdUserProtocol(seed=seed))
    curves: list[list[float]] = []
    stopwatch = _Stopwatch()
    whole = TwoTowerRecipe(rating=recipe, batch_ratings=BATCH_RATINGS, batch_users=BATCH_USERS)
    logs = _trainer(dataset, whole, seed, stopwatch).validate_ratings(
        cold.train, lambda exported: curves.append(cold_rmses(exported, cold))
    )
    best = best_epoch(logs, lower_is_better=True)
    return Outcome(_figure(logs[best - 1].validation), curves[best - 1], best, stopwatch.epoch_seconds())


def train_choice(recipe: ChoiceRecipe, seed: int) -> Outcome:
    """Holds rows out and trains on the rest."""
    dataset, rows = _material()
    stopwatch = _Stopwatch()
    whole = TwoTowerRecipe(
        choice=recipe,
        batch_ratings=BATCH_RATINGS,
        batch_users=BATCH_USERS,
        validation_share=CHOICE_VALIDATION,
    )
    logs = _trainer(dataset, whole, seed, stopwatch).validate_choices(rows)
    best = best_epoch(logs, lower_is_better=False)
    return Outcome(_figure(logs[best - 1].validation), [], best, stopwatch.epoch_seconds())


def average_user(pool: ProcessPoolExecutor) -> list[str]:
    """What of hidden users is predicted by, of whom nothing is revealed; with the chosen recipe."""
    found = np.array(list(pool.map(nothing_revealed, AVERAGE_SEEDS)))
    base, average, item = found.T
    gain = average - base
    return [
        "## The average user\n",
        f"RMSE of hidden users of whom nothing is revealed, {len(AVERAGE_SEEDS)} seeds. Added when all else was known, "
        "and when model_quality.py had shown the base no better than the item mean on its own hidden users.\n",
        "| what stands for the user | RMSE |",
        "|---|---|",
        f"| the base that a stranger's ratings are added to | {base.mean():.4f} ± {base.std(ddof=1):.4f} |",
        f"| **the mean of the known users' rows** | {average.mean():.4f} ± {average.std(ddof=1):.4f} |",
        f"| nobody: the item mean | {item.mean():.4f} ± {item.std(ddof=1):.4f} |",
        f"\nThe mean of rows less the base, seed by seed: {gain.mean():+.4f} ± {standard_error(gain):.4f}.\n",
    ]


def nothing_revealed(seed: int) -> tuple[float, float, float]:
    """RMSE of hidden users by the base of strangers, by the average user and by the item mean."""
    dataset, rows = _material()
    cold = hide_users(rows, ColdUserProtocol(seed=seed))
    nobody = np.zeros(len(cold.test), np.int32)
    curves: list[tuple[float, float]] = []

    def watch(exported: ExportedTowers) -> None:
        entries = exported.newcomers.user(np.zeros(0, np.int32), np.zeros(0, np.float32))
        stand_ins = exported.user_bag.summed(entries), exported.users.take(nobody[:1])
        base, average = (pair_ratings(exported, row, nobody, cold.test.items) for row in stand_ins)
        curves.append((rmse(base, cold.test.ratings), rmse(average, cold.test.ratings)))

    whole = TwoTowerRecipe(batch_ratings=BATCH_RATINGS, batch_users=BATCH_USERS)
    logs = _trainer(dataset, whole, seed, _Stopwatch()).validate_ratings(cold.train, watch)
    means = item_mean(cold.train, len(dataset.users.ids), len(dataset.items.ids)).predict(cold.test)
    return *curves[best_epoch(logs, lower_is_better=True) - 1], rmse(means, cold.test.ratings)


def cold_rmses(exported: ExportedTowers, cold: ColdUsers) -> list[float]:
    """RMSE of hidden users' tested rows, in stars, for each number of ratings revealed."""
    users, places = np.unique(cold.test.users, return_inverse=True)
    found = []
    for count in cold.revealed:
        history = cold.history(count)
        rows = []
        for user in users:
            own = np.flatnonzero(history.users == user)
            entries = exported.newcomers.user(history.items[own], history.ratings[own])
            rows.append(exported.user_bag.summed(entries))
        ratings = pair_ratings(exported, TowerRows.joined(rows), places.astype(np.int32), cold.test.items)
        found.append(rmse(ratings, cold.test.ratings))
    return found


class Trainings:
    """Trains in several processes, and keeps what came of it in a file."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool
        self._found: dict[str, Outcome] = {}
        if FOUND.exists():
            for line in FOUND.read_text().splitlines():
                entry = json.loads(line)
                self._found[entry["key"]] = Outcome(**entry["outcome"])

    def outcomes(self, part: Part, recipes: Sequence[Recipe]) -> list[list[Outcome]]:
        """For each recipe one outcome a seed."""
        keys = {_key(part, recipe, seed): (recipe, seed) for recipe in recipes for seed in SEEDS}
        train: Callable[..., Outcome] = train_rating if part == "rating" else train_choice
        running = {key: self._pool.submit(train, *what) for key, what in keys.items() if key not in self._found}
        for key, future in running.items():
            self._found[key] = future.result()
            FOUND.parent.mkdir(exist_ok=True)
            with FOUND.open("a") as file:
                file.write(json.dumps({"key": key, "outcome": dataclasses.asdict(self._found[key])}) + "\n")
        return [[self._found[_key(part, recipe, seed)] for seed in SEEDS] for recipe in recipes]


@dataclass
class _Stopwatch:
    """Processor time between epochs; the first one, with its compilation, does not count."""

    times: list[float] = field(default_factory=list)

    def __call__(self, _: object) -> None:
        self.times.append(time.process_time())

    def epoch_seconds(self) -> float:
        return float(np.median(np.diff(self.times)))


@cache
def _material() -> tuple[Dataset, RatedPairs]:
    dataset = load()
    pairs = RatedPairs.of(dataset.ratings, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids))
    return dataset, pairs.take(search_rows(dataset)[0])


def _trainer(dataset: Dataset, recipe: TwoTowerRecipe, seed: int, stopwatch: _Stopwatch) -> TowerTrainer:
    return TowerTrainer(dataset, len(dataset.users.ids), len(dataset.items.ids), recipe, seed, None, [stopwatch])


def _figure(validation: float | None) -> float:
    assert validation is not None
    return validation


def _key(part: Part, recipe: Recipe, seed: int) -> str:
    return json.dumps([part, seed, dataclasses.asdict(recipe)], sort_keys=True)


if __name__ == "__main__":
    main()
