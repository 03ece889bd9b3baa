"""How far users and items are above the mean, which is known before anything is trained.

A rating that is predicted must not be among what it is predicted from: where a mean is used to predict a rating that it
was made of, that rating is taken out of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.baselines import BiasModel, item_sums_above, regularised_biases
from rankserve_training.rows import RatedPairs, row_counts

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Offsets:
    """Means of training ratings. What follows from them for a rating is computed when it is asked for.

    Attributes:
        biases: of users and items.
        item_offsets: float32[items + 1], by how much an item is rated above the mean; 0 for row 0.
        item_sums: float64[items + 1], by how much it is rated above the mean and its users' biases, all ratings added.
        item_counts: int32[items + 1].
        item_shrinkage: so many ratings of the mean count with those of an item.
        user_means: float32[users + 1], by how much a user rates above the mean and his items' offsets, shrunk.
        user_counts: int32[users + 1].
    """

    biases: BiasModel
    item_offsets: Float32s
    item_sums: npt.NDArray[np.float64]
    item_counts: npt.NDArray[np.int32]
    item_shrinkage: float
    user_means: Float32s
    user_counts: npt.NDArray[np.int32]

    @property
    def mean(self) -> float:
        """Of all ratings."""
        return self.biases.mean

    def residuals(self, pairs: RatedPairs) -> Float32s:
        """Each of n ratings above the mean and its item's offset, float32[n]."""
        return _residuals(pairs, self.biases)

    def others_offsets(self, pairs: RatedPairs) -> Float32s:
        """The offset of the item of each of n ratings that were trained on by all ratings but this one, float32[n]."""
        above_user = pairs.ratings.astype(np.float64) - self.mean - self.biases.user_biases[pairs.users]
        others = self.item_sums[pairs.items] - above_user
        found: Float32s = (others / (self.item_shrinkage + self.item_counts[pairs.items] - 1)).astype(np.float32)
        return found


def offsets_of(
    train: RatedPairs, user_count: int, item_count: int, user_shrinkage: float, item_shrinkage: float
) -> Offsets:
    """Measures the ratings that are trained on; the shrinkages count as so many ratings of the mean."""
    biases = regularised_biases(train, user_count, item_count)
    user_counts = row_counts(train.users, user_count)
    user_sums = np.zeros(user_count + 1)
    for block in train.blocks():
        np.add.at(user_sums, block.users, _residuals(block, biases).astype(np.float64))
    return Offsets(
        biases=biases,
        item_offsets=biases.item_biases.astype(np.float32),
        item_sums=item_sums_above(train, biases.mean, biases.user_biases, item_count),
        item_counts=row_counts(train.items, item_count).astype(np.int32),
        item_shrinkage=item_shrinkage,
        user_means=(user_sums / (user_shrinkage + user_counts)).astype(np.float32),
        user_counts=user_counts.astype(np.int32),
    )


def _residuals(pairs: RatedPairs, biases: BiasModel) -> Float32s:
    residuals: Float32s = (pairs.ratings.astype(np.float64) - biases.mean - biases.item_biases[pairs.items]).astype(
        np.float32
    )
    return residuals
