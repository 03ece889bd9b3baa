"""What an item's raters say of it: who has rated it, and how, each rater with vectors of his own.

The mirror image of the users' sets of rated items. A batch holds whole users, but of most items only some raters, so
the sums are over all training ratings: products of a matrix of items by users with the raters' tables.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.baselines import BiasModel
from rankserve_training.model.backend import keras
from rankserve_training.rows import PairsByUser

ops = keras.ops
Float32s = npt.NDArray[np.float32]

# Items by users. The product is made in every step: beyond this it would take longer than all the rest.
_MOST_CELLS = 4_000_000


@dataclass(frozen=True)
class ItemRaters:
    """Who has rated what in training.

    Attributes:
        above_users: float32[items + 1, users + 1], by how much a user rates an item above what he usually does; 0
            where he does not.
        rated: likewise, 1 where he does.
        counts: float32[items + 1, 1], of an item's raters.
        means: float32[items + 1, 1], of `above_users` over an item's raters, shrunk.
    """

    above_users: Float32s
    rated: Float32s
    counts: Float32s
    means: Float32s


def item_raters_of(train: PairsByUser, biases: BiasModel, shrinkage: float) -> ItemRaters | None:
    """Lays the training ratings out; None where there are too many users and items.

    Args:
        train: the training ratings.
        biases: of all users and items, learnt from them.
        shrinkage: so many ratings of the mean count with those of an item.
    """
    shape = (len(biases.item_biases), len(biases.user_biases))
    if shape[0] * shape[1] > _MOST_CELLS:
        return None
    above_users, rated = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    pairs = train.pairs.take(train.places)
    above = pairs.ratings - biases.mean - biases.user_biases[pairs.users]
    np.add.at(above_users, (pairs.items, pairs.users), above)
    np.add.at(rated, (pairs.items, pairs.users), 1)
    counts = rated.sum(axis=1, keepdims=True)
    means = above_users.sum(axis=1, keepdims=True) / (shrinkage + counts)
    return ItemRaters(above_users, rated, counts, means)


class RaterSums(keras.layers.Layer):
    """An item's vector by its raters."""

    def __init__(self, raters: ItemRaters, how: keras.layers.Embedding, at_all: keras.layers.Embedding) -> None:
        """Takes the raters' tables, float32[users + 1, width] each."""
        super().__init__(name="rater_sums")
        self._raters, self._how, self._at_all = raters, how, at_all
        self.built = True

    def call(self, item: Any, user: Any, others_offset: Any) -> Any:
        """By all raters of `item`, int32[n], but `user`, whose rating is predicted: float32[n, width].

        `others_offset`, float32[n, 1], is the mean of the other raters, as in `Offsets`: with the rating in it, the
        others' distances from the mean would give the rating away.
        """
        raters = self._raters
        place = item * raters.rated.shape[1] + user
        own, own_rating = (ops.take(each.reshape(-1, 1), place, axis=0) for each in (raters.rated, raters.above_users))
        how, at_all = self._how(user), self._at_all(user)
        rated, unrated, implicit = (ops.take(each, item, axis=0) for each in self._sums())
        others = ops.take(raters.counts, item, axis=0) - own
        vectors = rated - own_rating * how - others_offset * (unrated - own * how) + implicit - own * at_all
        return vectors * ops.maximum(others, 1.0) ** -0.5

    def of_all_items(self) -> Float32s:
        """By all raters, float32[items + 1, width]."""
        raters = self._raters
        rated, unrated, implicit = map(np.asarray, self._sums())
        vectors = rated - raters.means * unrated + implicit
        scaled: Float32s = vectors * np.maximum(raters.counts, 1) ** np.float32(-0.5)
        return scaled

    def _sums(self) -> tuple[Any, Any, Any]:
        how, at_all = self._how.embeddings, self._at_all.embeddings
        rated = self._raters.rated
        return ops.matmul(self._raters.above_users, how), ops.matmul(rated, how), ops.matmul(rated, at_all)
