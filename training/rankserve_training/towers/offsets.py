"""How far users and items are above the mean, which is known before anything is trained.

A rating that is predicted must not be among what it is predicted from: where a mean is used to predict a rating that it
was made of, that rating is taken out of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.baselines import regularised_biases
from rankserve_training.rows import RatedPairs

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Offsets:
    """Means of training ratings.

    Attributes:
        mean: of all.
        item_offsets: float32[items + 1], by how much an item is rated above it; 0 for row 0.
        user_means: float32[users + 1], by how much a user rates above the mean and his items' offsets, shrunk.
        user_counts: int32[users + 1].
        item_counts: int32[items + 1].
        residuals: float32[n], each rating above the mean and its item's offset.
        others_offsets: float32[n], the item's offset by all ratings but this one.
    """

    mean: float
    item_offsets: Float32s
    user_means: Float32s
    user_counts: npt.NDArray[np.int32]
    item_counts: npt.NDArray[np.int32]
    residuals: Float32s
    others_offsets: Float32s


def offsets_of(
    train: RatedPairs, user_count: int, item_count: int, user_shrinkage: float, item_shrinkage: float
) -> Offsets:
    """Measures the ratings that are trained on; the shrinkages count as so many ratings of the mean."""
    biases = regularised_biases(train, user_count, item_count)
    above = train.ratings.astype(np.float64) - biases.mean
    above_user = above - biases.user_biases[train.users]
    counts = np.bincount(train.items, minlength=item_count + 1)
    sums = np.bincount(train.items, above_user, minlength=item_count + 1)
    others = (sums[train.items] - above_user) / (item_shrinkage + counts[train.items] - 1)
    residuals = (above - biases.item_biases[train.items]).astype(np.float32)
    user_counts = np.bincount(train.users, minlength=user_count + 1)
    user_sums = np.bincount(train.users, residuals, minlength=user_count + 1)
    return Offsets(
        mean=biases.mean,
        item_offsets=biases.item_biases.astype(np.float32),
        user_means=(user_sums / (user_shrinkage + user_counts)).astype(np.float32),
        user_counts=user_counts.astype(np.int32),
        item_counts=counts.astype(np.int32),
        residuals=residuals,
        others_offsets=others.astype(np.float32),
    )
