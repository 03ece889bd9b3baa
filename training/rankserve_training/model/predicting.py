"""Predictions of a Keras ranking model, as the reference that everything faster is compared with."""

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras

_BATCH_ROWS = 8_192


def predict_ratings(
    model: keras.Model, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Predicted ratings of n pairs.

    Not safe from two threads: on JAX, `predict` takes the weights out of the model while it runs.

    Args:
        model: a published model (on the rating scale).
        users: int32[n], rows.
        items: int32[n], rows.

    Returns:
        float32[n], on the rating scale.
    """
    predicted = model.predict({"user": users, "item": items}, batch_size=_BATCH_ROWS, verbose=0)
    return np.asarray(predicted, np.float32).reshape(-1)
