"""What a model has to beat: predictors that know next to nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.rows import Int32s, RatedPairs, row_counts

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
        counts = row_counts(history.users, len(self.user_biases) - 1)
        sums = user_sums_above(history, self.mean, self.item_biases, len(counts) - 1)
        return BiasModel(self.mean, sums / (_USER_REGULARISATION + counts), self.item_biases)


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
    counts = row_counts(train.items, item_count)
    biases = item_sums_above(train, model.mean, model.user_biases, item_count) / np.maximum(counts, 1)
    biases[0] = 0  # of many items, each of them unknown
    return BiasModel(model.mean, model.user_biases, biases)


def popularity(train: RatedPairs, item_count: int) -> Popularity:
    """Counts the training ratings of each item."""
    counts = row_counts(train.items, item_count).astype(np.float32)
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
    item_weights = _ITEM_REGULARISATION + row_counts(train.items, item_count)
    user_weights = _USER_REGULARISATION + row_counts(train.users, user_count)
    for _ in range(_SWEEPS):
        items = item_sums_above(train, model.mean, users, item_count) / item_weights
        users = user_sums_above(train, model.mean, items, user_count) / user_weights
    return BiasModel(model.mean, users, items)


def item_sums_above(train: RatedPairs, mean: float, user_biases: Float64s, item_count: int) -> Float64s:
    """By how much each item is rated above the mean and its users' biases, all its ratings added up.

    Returns:
        float64[items + 1], summed in the order of `train`, a block at a time: columns of 8 bytes a rating would take
        most of the memory of a training.
    """
    sums = np.zeros(item_count + 1)
    for block in train.blocks():
        np.add.at(sums, block.items, _above(block, mean, user_biases, block.users))
    return sums


def user_sums_above(train: RatedPairs, mean: float, item_biases: Float64s, user_count: int) -> Float64s:
    """The same of each user, above the mean and the biases of his items: float64[users + 1]."""
    sums = np.zeros(user_count + 1)
    for block in train.blocks():
        np.add.at(sums, block.users, _above(block, mean, item_biases, block.items))
    return sums


def _above(block: RatedPairs, mean: float, biases: Float64s, rows: Int32s) -> Float64s:
    return block.ratings.astype(np.float64) - mean - biases[rows]
