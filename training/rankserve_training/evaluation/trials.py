"""Evaluations that train: a recipe on some rows of a data set, tested on others."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from rankserve_training.artifact import IdIndex
from rankserve_training.baselines import global_mean, item_mean
from rankserve_training.data import DataError, Dataset
from rankserve_training.evaluation.cold_start import (
    ColdUserProtocol,
    RateWithHistory,
    cold_start_baselines,
    cold_start_curves,
    hide_items,
    hide_users,
)
from rankserve_training.evaluation.compared import COMPARED, rate_with_surprise
from rankserve_training.evaluation.held_out import evaluate_held_out
from rankserve_training.evaluation.measures import Measure
from rankserve_training.evaluation.models import ItemNewcomerRater, ModelScorer, NewcomerRater
from rankserve_training.evaluation.per_user import Int64s
from rankserve_training.evaluation.protocols import fold_split, k_folds, random_split, time_split
from rankserve_training.evaluation.rating_accuracy import accuracy
from rankserve_training.evaluation.result import ColdItemAccuracy, EvaluatedModel, EvaluationResult
from rankserve_training.evaluation.subjects import learning_curve, subject_of
from rankserve_training.model.newcomers import year_of
from rankserve_training.preparation import PreparedData
from rankserve_training.rows import RatedPairs
from rankserve_training.train import TrainedModel, TrainingSettings, train_prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from rankserve_training.metrics import Floats

PROTOCOLS = ("split", "folds", "time", "catalogue", "new-users", "new-items")

# As in Microsoft's `recommenders` benchmark, with whose figures those of the catalogue can be compared.
_CATALOGUE_TEST_SHARE = 0.25


@dataclass(frozen=True)
class Trial:
    """A recipe that is to be evaluated on a data set.

    Attributes:
        dataset: ratings, items and users.
        settings: preset, epochs and seeds; the split seed is that of the choice of rows.
        console: where progress is shown.
        compare: whether Surprise's models are trained on the same rows.
    """

    dataset: Dataset
    settings: TrainingSettings
    console: Console
    compare: bool = False

    def run(self, protocol: str, folds: int = 5) -> EvaluationResult:
        """Evaluates the recipe.

        Args:
            protocol: one of `PROTOCOLS`.
            folds: for `folds`.

        Raises:
            DataError: where the data set is too small for the protocol.
        """
        seed = self.settings.split_seed
        count = len(self.dataset.ratings)
        if count < 2 * folds:
            raise DataError(f"{self.dataset.name} has {count} ratings, too few to be split")
        splits: dict[str, Callable[[], tuple[Int64s, Int64s]]] = {
            "split": lambda: random_split(count, seed),
            "time": lambda: time_split(self.dataset.ratings.timestamps),
            "catalogue": lambda: _split_off(count, _CATALOGUE_TEST_SHARE, seed),
        }
        words = {
            "split": "a random fifth of the ratings, split as the tutorial does",
            "time": "the last fifth of the ratings by time",
            "catalogue": "a random quarter of the ratings",
        }
        if protocol in splits:
            return self._tested(*splits[protocol](), words[protocol])
        if protocol == "folds":
            return self._folds(folds, seed)
        return self._new_users(seed) if protocol == "new-users" else self._new_items(seed)

    def _tested(self, train_rows: Int64s, test_rows: Int64s, protocol: str) -> EvaluationResult:
        pairs = self._pairs()
        trained = self._train(pairs.take(train_rows), pairs.take(test_rows))
        data = trained.data
        compared = {}
        if self.compare:
            for name in COMPARED:
                self.console.print(f"Training {name}")
                compared[name] = rate_with_surprise(name, data.train, data.test, self.dataset.scale)
        scorer = ModelScorer(trained.keras_model, len(data.items))
        subject = subject_of(trained, self.settings.preset, protocol)
        return evaluate_held_out(subject, scorer, data.train, data.test, learning_curve(trained), compared)

    def _folds(self, count: int, seed: int) -> EvaluationResult:
        """Each measure is the mean over the folds, its interval from the lowest to the highest of them."""
        dealt = k_folds(len(self.dataset.ratings), count, seed)
        results = []
        for number in range(count):
            self.console.print(f"Fold {number + 1} of {count}")
            results.append(self._tested(*fold_split(dealt, number), f"fold {number + 1} of {count}"))
        models = tuple(
            EvaluatedModel(same[0].name, same[0].kind, _mean_measures(same))
            for same in zip(*(result.models for result in results), strict=True)
        )
        protocol = f"{count} random folds; means, in brackets the lowest and the highest fold"
        return replace(results[0], protocol=protocol, models=models, differences=(), examples=())

    def _new_users(self, seed: int) -> EvaluationResult:
        cold = hide_users(self._pairs(), ColdUserProtocol(seed=seed))
        trained = self._train(cold.train, cold.test)
        name = self.settings.preset
        models: dict[str, RateWithHistory] = {name: _rater(trained)}
        models |= cold_start_baselines(cold.train, len(trained.data.users), len(trained.data.items))
        words = f"{cold.users} users hidden from training, tested with some of their ratings revealed"
        result = self._cold_result(trained, cold.test, words)
        return replace(result, cold_start=cold_start_curves(cold, models))

    def _new_items(self, seed: int) -> EvaluationResult:
        cold = hide_items(self._pairs(), seed=seed)
        trained = self._train(cold.train, cold.test)
        data, items = trained.data, self.dataset.items
        predictions: dict[str, Floats] = {
            "global mean": global_mean(cold.train, len(data.users), len(data.items)).predict(cold.test),
            "item mean": item_mean(cold.train, len(data.users), len(data.items)).predict(cold.test),
        }
        if trained.newcomers is not None:
            described = {row: (items.genres[row - 1], year_of(items.titles[row - 1])) for row in cold.items.tolist()}
            newcomers = trained.newcomers
            rater = ItemNewcomerRater(trained.keras_model, newcomers.keras_model, newcomers.encoding, described)
            predictions = {self.settings.preset: rater.rate(cold.test)} | predictions
        result = self._cold_result(trained, cold.test, f"{len(cold.items)} items hidden from training")
        accuracies = [
            ColdItemAccuracy(name, accuracy(predicted, cold.test.ratings)) for name, predicted in predictions.items()
        ]
        return replace(result, cold_items=tuple(accuracies))

    def _cold_result(self, trained: TrainedModel, test: RatedPairs, protocol: str) -> EvaluationResult:
        """Of the hidden rows as the published model rates them: by nothing but ids, of which it knows one side only."""
        subject = subject_of(trained, self.settings.preset, protocol)
        scorer = ModelScorer(trained.keras_model, len(trained.data.items))
        return replace(evaluate_held_out(subject, scorer, trained.data.train, test), examples=())

    def _pairs(self) -> RatedPairs:
        return RatedPairs.of(self.dataset.ratings, IdIndex(self.dataset.users.ids), IdIndex(self.dataset.items.ids))

    def _train(self, train: RatedPairs, test: RatedPairs) -> TrainedModel:
        users, items = IdIndex(self.dataset.users.ids), IdIndex(self.dataset.items.ids)
        data = PreparedData(users, items, train, test, "random", "")
        return train_prepared(self.dataset.description(), data, self.settings, self.console)


def _rater(trained: TrainedModel) -> RateWithHistory:
    """A model that knows nothing but ids rates every stranger as row 0."""
    if trained.newcomers is not None:
        newcomers = trained.newcomers
        return NewcomerRater(trained.keras_model, newcomers.keras_model, newcomers.encoding)
    scorer = ModelScorer(trained.keras_model, len(trained.data.items))
    return lambda _, pairs: scorer.rate(RatedPairs(np.zeros_like(pairs.users), pairs.items, pairs.ratings))


def _split_off(count: int, share: float, seed: int) -> tuple[Int64s, Int64s]:
    order = np.random.default_rng(seed).permutation(count)
    test_count = round(count * share)
    return order[test_count:], order[:test_count]


def _mean_measures(models: tuple[EvaluatedModel, ...]) -> tuple[Measure, ...]:
    measures = []
    for key in [measure.key for measure in models[0].measures]:
        values = [measure.value for model in models if (measure := model.measure(key)) is not None]
        count = sum(measure.count for model in models if (measure := model.measure(key)) is not None)
        measures.append(Measure(key, float(np.mean(values)), min(values), max(values), count))
    return tuple(measures)
