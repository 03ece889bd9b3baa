"""Small ratings for the tests of the evaluation, and models whose answers are given."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from rankserve_training.data import RatingScale
from rankserve_training.rows import RatedPairs

STARS = RatingScale(1.0, 5.0)
Row = tuple[int, int, float]


def as_pairs(rows: Sequence[Row]) -> RatedPairs:
    """Rows of user, item and rating."""
    users, items, ratings = zip(*rows, strict=True) if rows else ((), (), ())
    return RatedPairs(np.array(users, np.int32), np.array(items, np.int32), np.array(ratings, np.float32))


def rated_rows(users: int, items: int, min_size: int = 1, max_size: int = 40) -> st.SearchStrategy[list[Row]]:
    """Rows of users and items from 0, with ratings of 1 to 5 stars."""
    row = st.tuples(st.integers(0, users), st.integers(0, items), st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0]))
    return st.lists(row, min_size=min_size, max_size=max_size)


class GivenScorer:
    """Answers from a matrix of user rows and item rows; row and column 0 are strangers."""

    def __init__(self, matrix: npt.NDArray[np.float32]) -> None:
        self.matrix = matrix

    def rate(self, pairs: RatedPairs) -> npt.NDArray[np.float32]:
        return self.matrix[pairs.users, pairs.items]

    def prefer(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        return self.matrix[users, 1:]
