"""Training: from a data set to a model that predicts ratings on its scale."""

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console

from rankserve_training.artifact import IdIndex
from rankserve_training.baselines import global_mean, regularised_biases
from rankserve_training.data import DataError, Dataset, Description
from rankserve_training.distributed.leading import Others
from rankserve_training.memory import free_programs
from rankserve_training.metrics import mae, rmse
from rankserve_training.model import embedding_mlp, two_tower
from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Newcomers
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.preparation import PreparedData, prepare
from rankserve_training.presets import TutorialRecipe, preset_named
from rankserve_training.progress import StageBars
from rankserve_training.rows import RatedPairs
from rankserve_training.tensorboard import TensorBoardLog
from rankserve_training.towers.export import ExportedTowers
from rankserve_training.towers.fitting import Checkpoints, EpochLog
from rankserve_training.towers.placement import unplace
from rankserve_training.towers.recipe import TwoTowerRecipe
from rankserve_training.towers.train import TowerTrainer
from rankserve_training.tutorial import train_tutorial


@dataclass(frozen=True)
class TrainingSettings:
    """What is asked of a training.

    Attributes:
        preset: the name of the recipe.
        epochs: passes over the training rows; None for what the recipe says or finds out.
        seed: of the initial weights.
        split_seed: of the choice of test rows; not used where the data set brings its own.
        checkpoints: where the state after each epoch is kept, and gone on from; None for nowhere.
        tensorboard: where logs for TensorBoard are written; None for nowhere.
    """

    preset: str
    epochs: int | None
    seed: int
    split_seed: int
    checkpoints: Path | None = None
    tensorboard: Path | None = None


@dataclass(frozen=True)
class TrainedNewcomers:
    """The model of strangers, and how they are described to it."""

    encoding: Newcomers
    keras_model: keras.Model


@dataclass(frozen=True)
class TrainedModel:
    """What training gives.

    Attributes:
        dataset: what it was trained on, without the ratings.
        data: the ratings as rows, split.
        settings: what was asked for.
        keras_model: rows in, predicted ratings out.
        metrics: `test_rmse`, `test_mae` and the RMSE of the baselines, on the rating scale; `test_rmse_label` on the
            label scale of 0 to 1.
        seconds: of fitting.
        epochs: passes over the training rows.
        architecture: which of the forms in `rankserve_training.model` the model has.
        newcomers: None where the model knows nothing but ids.
        logs: of the epochs, by what was trained.
    """

    dataset: Description
    data: PreparedData
    settings: TrainingSettings
    keras_model: keras.Model
    metrics: dict[str, float]
    seconds: float
    epochs: int = 1
    architecture: str = embedding_mlp.ARCHITECTURE
    newcomers: TrainedNewcomers | None = None
    logs: dict[str, list[EpochLog]] = field(default_factory=dict)


def train_model(dataset: Dataset, settings: TrainingSettings, console: Console) -> TrainedModel:
    """Trains a model; the same arguments on the same machine give the same weights.

    Args:
        dataset: ratings, items and users.
        settings: preset, epochs and seeds.
        console: where progress is shown.

    Raises:
        UnknownPresetError: where there is no such preset.
        DataError: where there are too few ratings to hold some out, or they are too large.
        CheckpointError: where the checkpoints are those of another training.
    """
    preset_named(settings.preset)
    return train_prepared(*described(dataset, settings), settings, console)


def described(dataset: Dataset, settings: TrainingSettings) -> tuple[Description, PreparedData]:
    """A data set as it is trained on; the ratings that it brings are not needed any more.

    Raises:
        DataError: where there are too few ratings to hold some out, or they are too large.
    """
    if dataset.scale.span > float(np.finfo(np.float32).max):
        raise DataError(
            f"{dataset.name}: ratings from {dataset.scale.minimum:g} to {dataset.scale.maximum:g} do not fit into "
            "32-bit floats; check that the column of ratings holds ratings"
        )
    data = prepare(dataset, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids), settings.split_seed)
    return dataset.description(), data


def train_prepared(
    dataset: Description,
    data: PreparedData,
    settings: TrainingSettings,
    console: Console,
    others: Others | None = None,
) -> TrainedModel:
    """The same for a data set that has been split already; together with other processes, if there are some.

    Raises:
        GroupError: where another process has ended.
    """
    recipe = preset_named(settings.preset)
    if isinstance(recipe, TutorialRecipe):
        return _train_tutorial(dataset, data, recipe, settings, console)
    trained = _train_two_tower(dataset, data, recipe, settings, console, others)
    # The evaluation needs columns of its own for the test rows.
    free_programs(len(data.train))
    return trained


def _train_tutorial(
    dataset: Description, data: PreparedData, recipe: TutorialRecipe, settings: TrainingSettings, console: Console
) -> TrainedModel:
    epochs = settings.epochs or recipe.epochs
    log = TensorBoardLog(settings.tensorboard)
    started = time.perf_counter()
    model = train_tutorial(dataset, data, recipe, epochs, settings.seed, console, log.callbacks())
    seconds = time.perf_counter() - started
    metrics = model_metrics(model, data.test, dataset.scale.span) | baseline_metrics(data)
    return TrainedModel(dataset, data, settings, model, metrics, seconds, epochs)


def _train_two_tower(
    dataset: Description,
    data: PreparedData,
    recipe: TwoTowerRecipe,
    settings: TrainingSettings,
    console: Console,
    others: Others | None,
) -> TrainedModel:
    checkpoints = None
    if settings.checkpoints is not None:
        identity = {
            "ratings": dataset.fingerprint,
            "held out": data.test_fingerprint,
            "preset": settings.preset,
            # A later release may have another recipe under the same name.
            "recipe": asdict(recipe),
            "epochs": settings.epochs,
            "seed": settings.seed,
        }
        checkpoints = Checkpoints(settings.checkpoints, identity)
    log = TensorBoardLog(settings.tensorboard)
    started = time.perf_counter()
    with StageBars(console) as bars:
        trainer = TowerTrainer(
            dataset, len(data.users), len(data.items), recipe, settings.seed, checkpoints, [bars, log.stage], others
        )
        trained = trainer.train(data.train, settings.epochs)
    if others is not None:
        others.end()
    unplace()
    seconds = time.perf_counter() - started
    model, newcomers = keras_models(trained.exported)
    metrics = model_metrics(model, data.test, dataset.scale.span) | baseline_metrics(data)
    logs = {"ratings": trained.rating_logs, "choices": trained.choice_logs}
    return TrainedModel(
        dataset, data, settings, model, metrics, seconds, trained.epochs, two_tower.ARCHITECTURE, newcomers, logs
    )


def keras_models(exported: ExportedTowers) -> tuple[keras.Model, TrainedNewcomers]:
    """The two models that are published."""
    known = two_tower.known_pairs_model(exported.users, exported.items, exported.head)
    newcomers = two_tower.newcomers_model(exported.user_bag, exported.item_bag, exported.head)
    return known, TrainedNewcomers(exported.newcomers, newcomers)


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
