"""Training: from a data set to a model that predicts ratings on its scale."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console

from rankserve_training.artifact import IdIndex
from rankserve_training.baselines import global_mean, regularised_biases
from rankserve_training.data import DataError, Dataset
from rankserve_training.interrupts import InterruptBetweenBatches
from rankserve_training.metrics import mae, rmse
from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale, with_average_strangers
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.presets import Preset, preset_named
from rankserve_training.progress import EpochBars
from rankserve_training.rows import RatedPairs
from rankserve_training.split import random_split

# So few would train nothing, but the line between a model and none is not ours to draw.
_FEWEST_RATINGS = 2


@dataclass(frozen=True)
class PreparedData:
    """A data set as rows, split.

    Attributes:
        users: from user ids to rows.
        items: from item ids to rows.
        train: what may be learnt from.
        test: held out.
        split_method: `random` or `file`, as in the manifest.
        test_fingerprint: of the ratings held out, likewise.
    """

    users: IdIndex
    items: IdIndex
    train: RatedPairs
    test: RatedPairs
    split_method: str
    test_fingerprint: str


@dataclass(frozen=True)
class TrainingSettings:
    """What is asked of a training.

    Attributes:
        preset: the name of the recipe.
        epochs: passes over the training rows.
        seed: of the initial weights.
        split_seed: of the choice of test rows; not used where the data set brings its own.
    """

    preset: str
    epochs: int
    seed: int
    split_seed: int


@dataclass(frozen=True)
class TrainedModel:
    """What training gives.

    Attributes:
        dataset: what it was trained on.
        data: the same as rows, split.
        settings: what was asked for.
        keras_model: rows in, predicted ratings out.
        metrics: `test_rmse`, `test_mae` and the RMSE of the baselines, on the rating scale; `test_rmse_label` on the
            label scale of 0 to 1.
        seconds: of fitting.
    """

    dataset: Dataset
    data: PreparedData
    settings: TrainingSettings
    keras_model: keras.Model
    metrics: dict[str, float]
    seconds: float


def prepare(dataset: Dataset, users: IdIndex, items: IdIndex, split_seed: int) -> PreparedData:
    """Looks all ids up and splits the ratings, at random unless the data set brings test ratings of its own.

    Raises:
        DataError: where there are too few ratings to hold some out.
    """
    pairs = RatedPairs.of(dataset.ratings, users, items)
    if dataset.test_ratings is not None:
        test = RatedPairs.of(dataset.test_ratings, users, items)
        return PreparedData(users, items, pairs, test, "file", dataset.test_ratings.fingerprint())
    if len(pairs) < _FEWEST_RATINGS:
        raise DataError(
            f"{dataset.name} has {len(pairs)} ratings; at least {_FEWEST_RATINGS} are needed to hold some out"
        )
    train_rows, test_rows = random_split(len(pairs), split_seed)
    fingerprint = dataset.ratings.take(test_rows).fingerprint()
    return PreparedData(users, items, pairs.take(train_rows), pairs.take(test_rows), "random", fingerprint)


def train_model(dataset: Dataset, settings: TrainingSettings, console: Console) -> TrainedModel:
    """Trains a model; the same arguments on the same machine give the same weights.

    Args:
        dataset: ratings, items and users.
        settings: preset, epochs and seeds.
        console: where progress is shown.

    Raises:
        UnknownPresetError: where there is no such preset.
        DataError: where there are too few ratings to hold some out, or they are too large.
    """
    preset = preset_named(settings.preset)
    minimum, span = dataset.scale.minimum, dataset.scale.span
    if span > float(np.finfo(np.float32).max):
        raise DataError(
            f"{dataset.name}: ratings from {minimum:g} to {dataset.scale.maximum:g} do not fit into 32-bit floats; "
            "check that the column of ratings holds ratings"
        )
    data = prepare(dataset, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids), settings.split_seed)
    labels = (data.train.ratings - np.float32(minimum)) / np.float32(span)
    keras.utils.set_random_seed(settings.seed)
    model = build_embedding_mlp(len(data.users), len(data.items), preset.model)
    started = time.perf_counter()
    _fit(model, data.train, labels, preset, settings.epochs, console)
    seconds = time.perf_counter() - started
    with_average_strangers(model, np.unique(data.train.users), np.unique(data.train.items))
    published = on_rating_scale(model, minimum, span)
    metrics = model_metrics(published, data.test, span) | baseline_metrics(data)
    return TrainedModel(dataset, data, settings, published, metrics, seconds)


def _fit(
    model: keras.Model,
    pairs: RatedPairs,
    labels: npt.NDArray[np.float32],
    preset: Preset,
    epochs: int,
    console: Console,
) -> None:
    model.compile(
        optimizer=keras.optimizers.Adagrad(preset.learning_rate),
        loss=keras.losses.MeanSquaredError(),
        metrics=[keras.metrics.RootMeanSquaredError(name="rmse")],
    )
    bars = EpochBars(console)
    try:
        with InterruptBetweenBatches() as interrupts:
            # Not shuffled again: the tutorial caches its batches, so that each epoch sees them in the same order.
            model.fit(
                {"user": pairs.users, "item": pairs.items},
                labels,
                batch_size=preset.batch_size,
                epochs=epochs,
                shuffle=False,
                verbose=0,
                callbacks=[bars, interrupts],
            )
    finally:
        bars.close()


def model_metrics(model: keras.Model, test: RatedPairs, span: float) -> dict[str, float]:
    """The figures of a published model on test rows; see `TrainedModel.metrics`.

    Args:
        model: rows in, predicted ratings out.
        test: the rows.
        span: of the rating scale.
    """
    predicted = predict_ratings(model, test.users, test.items)
    return {
        "test_rmse": rmse(predicted, test.ratings),
        "test_mae": mae(predicted, test.ratings),
        "test_rmse_label": rmse(predicted, test.ratings) / span,
    }


def baseline_metrics(data: PreparedData) -> dict[str, float]:
    """`global_mean_rmse` and `bias_only_rmse` on the test rows, learnt from the training rows."""
    metrics = {}
    for name, fit_baseline in (("global_mean", global_mean), ("bias_only", regularised_biases)):
        baseline = fit_baseline(data.train, len(data.users), len(data.items)).predict(data.test)
        metrics[f"{name}_rmse"] = rmse(baseline, data.test.ratings)
    return metrics
