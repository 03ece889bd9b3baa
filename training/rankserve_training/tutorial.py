"""Training the tutorial's model as the tutorial does."""

import numpy as np
import numpy.typing as npt
from rich.console import Console

from rankserve_training.data import Description
from rankserve_training.interrupts import InterruptBetweenBatches
from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale, with_average_strangers
from rankserve_training.preparation import PreparedData
from rankserve_training.presets import TutorialRecipe
from rankserve_training.progress import EpochBars
from rankserve_training.rows import RatedPairs


def train_tutorial(
    dataset: Description,
    data: PreparedData,
    recipe: TutorialRecipe,
    epochs: int,
    seed: int,
    console: Console,
    callbacks: list[keras.callbacks.Callback],
) -> keras.Model:
    """The trained model on the rating scale.

    Args:
        dataset: whose scale it is.
        data: the same as rows.
        recipe: sizes and rates.
        epochs: passes over the training rows.
        seed: of the initial weights.
        console: where progress is shown.
        callbacks: told of the progress too.
    """
    minimum, span = dataset.scale.minimum, dataset.scale.span
    labels = (data.train.ratings - np.float32(minimum)) / np.float32(span)
    keras.utils.set_random_seed(seed)
    model = build_embedding_mlp(len(data.users), len(data.items), recipe.model)
    _fit(model, data.train, labels, recipe, epochs, console, callbacks)
    with_average_strangers(model, np.unique(data.train.users), np.unique(data.train.items))
    return on_rating_scale(model, minimum, span)


def _fit(
    model: keras.Model,
    pairs: RatedPairs,
    labels: npt.NDArray[np.float32],
    recipe: TutorialRecipe,
    epochs: int,
    console: Console,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    model.compile(
        optimizer=keras.optimizers.Adagrad(recipe.learning_rate),
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
                batch_size=recipe.batch_size,
                epochs=epochs,
                shuffle=False,
                verbose=0,
                callbacks=[bars, interrupts, *callbacks],
            )
    finally:
        bars.close()
