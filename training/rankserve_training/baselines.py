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

    def rate(self, pairs: RatedPairs) -> Float64s:
        """The same, under the name that the evaluation of a model calls."""
        return self.predict(pairs)

    def prefer(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Predicted ratings of all items, float32[b, items], item row 1 first."""
        return (self.mean + self.user_biases[users, np.newaxis] + self.item_biases[1:]).astype(np.float32)

    def with_history(self, history: RatedPairs) -> "BiasModel":
        """The same model with the biases of the users in `history` learnt from these ratings alone.

        All other users have no bias; those of the items stay as they are.
        """
        residuals = history.ratings.astype(np.float64) - self.mean - self.item_biases[history.items]
        users = _shrunk_means(residuals, history.users, len(self.user_biases) - 1, _USER_REGULARISATION)
        return BiasModel(self.mean, users, self.item_biases)


@dataclass(frozen=True)
class Popularity:
    """Prefers what has been rated most often, for everybody alike. It predicts no ratings.

    Attributes:
        counts: float32[items + 1], how many training ratings an item has; row 0 is every unknown item, with 0.
    """

    counts: npt.NDArray[np.float32]

    def score(self, pairs: RatedPairs) -> npt.NDArray[np.float32]:
        """The popularity of the items of n pairs, float32[n]."""
        return self.counts[pairs.items]

    def prefer(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """The popularity of all items, float32[b, items], item row 1 first; read-only."""
        return np.broadcast_to(self.counts[1:], (len(users), len(self.counts) - 1))


def global_mean(train: RatedPairs, user_count: int, item_count: int) -> BiasModel:
    """Predicts the mean of the training ratings for everybody and everything."""
    mean = float(train.ratings.mean(dtype=np.float64))
    return BiasModel(mean, np.zeros(user_count + 1), np.zeros(item_count + 1))


def item_mean(train: RatedPairs, user_count: int, item_count: int) -> BiasModel:
    """Predicts the mean of an item's training ratings, and the mean of all where it has none."""
    model = global_mean(train, user_count, item_count)
    residuals = train.ratings.astype(np.float64) - model.mean
    counts = np.bincount(train.items, minlength=item_count + 1)
    biases = np.bincount(train.items, residuals, minlength=item_count + 1) / np.maximum(counts, 1)
    biases[0] = 0  # of many items, each of them unknown
    return BiasModel(model.mean, model.user_biases, biases)


def popularity(train: RatedPairs, item_count: int) -> Popularity:
    """Counts the training ratings of each item."""
    counts = np.bincount(train.items, minlength=item_count + 1).astype(np.float32)
    counts[0] = 0
    return Popularity(counts)


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
