"""Ratings as rows of the model's tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import IdIndex
from rankserve_training.data import Ratings

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_BLOCK = 1 << 17


@dataclass(frozen=True)
class RatedPairs:
    """Aligned columns of length n.

    Attributes:
        users: int32[n], rows of the user table, 0 for a user that the index does not know.
        items: int32[n], likewise.
        ratings: float32[n], on the data set's rating scale.
    """

    users: Int32s
    items: Int32s
    ratings: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ratings)

    def take(self, rows: npt.NDArray[np.integer]) -> "RatedPairs":
        """The pairs at these places, in their order."""
        return RatedPairs(self.users[rows], self.items[rows], self.ratings[rows])

    def blocks(self) -> "Iterator[RatedPairs]":
        """The same pairs, so many at a time that columns made of them hardly count; views of the columns."""
        for block in blocks(len(self)):
            yield RatedPairs(self.users[block], self.items[block], self.ratings[block])

    @staticmethod
    def of(ratings: Ratings, users: IdIndex, items: IdIndex) -> "RatedPairs":
        """Looks the ids of ratings up."""
        return RatedPairs(users.rows(ratings.user_ids), items.rows(ratings.item_ids), ratings.values)


@dataclass(frozen=True)
class PairsByUser:
    """Pairs, and where those of each user are; the pairs themselves stay in their order, and may be more.

    Attributes:
        pairs: the n that are meant, and others that are not.
        starts: int64[users + 2]; the pairs of user row r are at `places[starts[r]:starts[r + 1]]`.
        places: int32[n], ascending within a user.
    """

    pairs: RatedPairs
    starts: Int64s
    places: Int32s

    def __len__(self) -> int:
        return len(self.places)

    @staticmethod
    def of(pairs: RatedPairs, user_count: int) -> "PairsByUser":
        """Groups pairs of the users 0 to `user_count`; takes 4 bytes a pair, and hardly more while it does so."""
        starts = np.zeros(user_count + 2, np.int64)
        np.cumsum(row_counts(pairs.users, user_count), out=starts[1:])
        places = np.empty(len(pairs), np.int32)
        free = starts[:-1].copy()
        for block in blocks(len(pairs)):
            order = np.argsort(pairs.users[block], kind="stable")
            users = pairs.users[block][order]
            counts = np.bincount(users, minlength=user_count + 1)
            firsts = np.cumsum(counts) - counts
            places[free[users] + np.arange(len(users)) - firsts[users]] = block.start + order
            free += counts
        return PairsByUser(pairs, starts, places)

    def items_of(self, user: int) -> Int32s:
        """The items of a user, int32[k], in the order of the pairs."""
        return self.pairs.items[self.places[self.starts[user] : self.starts[user + 1]]]


def blocks(count: int) -> Iterator[slice]:
    """Slices of `count` rows, one behind the other, whose columns take little memory."""
    for start in range(0, count, _BLOCK):
        yield slice(start, min(start + _BLOCK, count))


def permutation(random: np.random.Generator, count: int) -> Int32s:
    """The numbers from 0 to `count` - 1 in the order in which `random.permutation` gives them, in half the memory."""
    order = np.arange(count, dtype=np.int32)
    random.shuffle(order)
    return order


def row_counts(rows: Int32s, count: int) -> Int64s:
    """How often each row from 0 to `count` occurs: int64[count + 1]."""
    counts = np.zeros(count + 1, np.int64)
    for block in blocks(len(rows)):
        counts += np.bincount(rows[block], minlength=count + 1)
    return counts
