"""Predictions of a Keras ranking model, as the reference that everything faster is compared with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras

_BATCH_ROWS = 8_192


@dataclass(frozen=True)
class Predictions:
    """What a model predicts of n pairs.

    Attributes:
        ratings: float32[n], on the rating scale.
        choices: float32[n], its second output; None where it has none.
    """

    ratings: npt.NDArray[np.float32]
    choices: npt.NDArray[np.float32] | None


def predict_pairs(model: keras.Model, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]) -> Predictions:
    """All that a model predicts of n pairs.

    Not safe from two threads: on JAX, `predict` takes the weights out of the model while it runs.

    Args:
        model: a published model (on the rating scale).
        users: int32[n], rows.
        items: int32[n], rows.
    """
    predicted = model.predict({"user": users, "item": items}, batch_size=_BATCH_ROWS, verbose=0)
    if not isinstance(predicted, dict):
        return Predictions(_column(predicted), None)
    return Predictions(_column(predicted["rating"]), _column(predicted["choice"]))


def predict_ratings(
    model: keras.Model, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Predicted ratings of n pairs, float32[n]: see `predict_pairs`."""
    return predict_pairs(model, users, items).ratings


def _column(output: Any) -> npt.NDArray[np.float32]:
    return np.asarray(output, np.float32).reshape(-1)
