"""What a model has to beat: predictors that know next to nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.rows import RatedPairs

Float64s = npt.NDArray[np.float64]

# The defaults of Surprise's BaselineOnly, whose published figures are quoted for comparison.
_USER_REGULARISATION = 15
_ITEM_REGULARISATION = 10
_SWEEPS = 10


@dataclass(frozen=True)
class BiasModel:
    """`mean + user bias + item bias`.

    Attributes:
        mean: of the training ratings.
        user_biases: float64[users + 1], 0 where there was nothing to learn from.
        item_biases: float64[items + 1], likewise.
    """

    mean: float
    user_biases: Float64s
    item_biases: Float64s

    def predict(self, pairs: RatedPairs) -> Float64s:
        """Predicted ratings, float64[n]."""
        return self.mean + self.user_biases[pairs.users] + self.item_biases[pairs.items]


def global_mean(train: RatedPairs, user_count: int, item_count: int) -> BiasModel:
    """Predicts the mean of the training ratings for everybody and everything."""
    mean = float(train.ratings.mean(dtype=np.float64))
    return BiasModel(mean, np.zeros(user_count + 1), np.zeros(item_count + 1))


def regularised_biases(train: RatedPairs, user_count: int, item_count: int) -> BiasModel:
    """Biases by alternating least squares.

    Source: Koren, "Factor in the Neighbors" (2010), section 2.1, as in Surprise's `BaselineOnly`.

    Args:
        train: the ratings to learn from.
        user_count: known users; rows are 1 to `user_count`.
        item_count: known items.
    """
    model = global_mean(train, user_count, item_count)
    users, items = model.user_biases, model.item_biases
    residuals = train.ratings.astype(np.float64) - model.mean
    for _ in range(_SWEEPS):
        items = _shrunk_means(residuals - users[train.users], train.items, item_count, _ITEM_REGULARISATION)
        users = _shrunk_means(residuals - items[train.items], train.users, user_count, _USER_REGULARISATION)
    return BiasModel(model.mean, users, items)


def _shrunk_means(values: Float64s, rows: npt.NDArray[np.int32], count: int, regularisation: float) -> Float64s:
    sums = np.bincount(rows, values, minlength=count + 1)
    return sums / (regularisation + np.bincount(rows, minlength=count + 1))
