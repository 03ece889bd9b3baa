"""Values of a measure, one a user, and rows grouped by user."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.rows import PairsByUser, RatedPairs

Float64s = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True)
class PerUser:
    """A measure, user by user; kept so that an interval of its mean can be drawn.

    Attributes:
        users: int32[u], the rows of the users for whom the measure is defined, ascending.
        values: float64[u].
    """

    users: Int32s
    values: Float64s

    def __len__(self) -> int:
        return len(self.users)

    @property
    def mean(self) -> float:
        """Over users; each counts the same.

        Raises:
            ValueError: where the measure is defined for nobody.
        """
        if not len(self.values):
            raise ValueError("The measure is defined for no user.")
        return float(self.values.mean())


@dataclass(frozen=True)
class ItemsByUser:
    """Which items each user has rated.

    Attributes:
        offsets: int64[users + 2]; those of user row r are `items[offsets[r]:offsets[r + 1]]`.
        items: int32[n], item rows.
    """

    offsets: Int64s
    items: Int32s

    @staticmethod
    def of(pairs: RatedPairs, user_count: int) -> "ItemsByUser":
        """Groups the items of `pairs`; users are rows 0 to `user_count`."""
        grouped = PairsByUser.of(pairs, user_count)
        return ItemsByUser(grouped.starts, pairs.items[grouped.places])

    def places_and_items(self, users: Int32s) -> tuple[Int64s, Int32s]:
        """The items of several users, as pairs of a place in `users` and an item row: int64[m] and int32[m]."""
        starts, lengths = self.offsets[users], self.offsets[users + 1] - self.offsets[users]
        places = np.repeat(np.arange(len(users)), lengths)
        first_of_each = np.cumsum(lengths) - lengths
        within = np.arange(len(places)) - first_of_each[places]
        return places, self.items[starts[places] + within]


def sums_by_group(groups: Int64s, values: npt.NDArray[np.floating | np.bool_], count: int = 0) -> Float64s:
    """Adds up values by group.

    Args:
        groups: int64[n], 0 or more.
        values: floats or bools[n].
        count: the fewest groups to give sums of.

    Returns:
        float64[g], 0 where a group has no values.
    """
    return np.bincount(groups, values, minlength=count).astype(np.float64, copy=False)


def run_bounds(*columns: npt.NDArray[np.generic]) -> tuple[Int64s, Int64s]:
    """Where each row's run of equal rows begins and ends, in sorted columns.

    Args:
        columns: one or more of the same length n; equal rows stand together.

    Returns:
        int64[n] each: the first place of the run, and the place past its last one.
    """
    count = len(columns[0])
    begins = np.zeros(count, bool)
    begins[:1] = True
    for column in columns:
        begins[1:] |= column[1:] != column[:-1]
    firsts = np.flatnonzero(begins)
    run = np.cumsum(begins) - 1
    return firsts[run], np.append(firsts[1:], count)[run]
