"""Ratings as rows of the model's tables."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import IdIndex
from rankserve_training.data import Ratings


@dataclass(frozen=True)
class RatedPairs:
    """Aligned columns of length n.

    Attributes:
        users: int32[n], rows of the user table, 0 for a user that the index does not know.
        items: int32[n], likewise.
        ratings: float32[n], on the data set's rating scale.
    """

    users: npt.NDArray[np.int32]
    items: npt.NDArray[np.int32]
    ratings: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ratings)

    def take(self, rows: npt.NDArray[np.int64]) -> "RatedPairs":
        """The pairs at these places, in their order."""
        return RatedPairs(self.users[rows], self.items[rows], self.ratings[rows])

    @staticmethod
    def of(ratings: Ratings, users: IdIndex, items: IdIndex) -> "RatedPairs":
        """Looks the ids of ratings up."""
        return RatedPairs(users.rows(ratings.user_ids), items.rows(ratings.item_ids), ratings.values)
