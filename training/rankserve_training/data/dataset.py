"""What a model is trained on: ratings as columns, and what is known of the items and the users."""

import hashlib
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_training.data.pairs import has_repeats, pair_keys

Int64s: TypeAlias = npt.NDArray[np.int64]
Float32s: TypeAlias = npt.NDArray[np.float32]

_ROWS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class RatingScale:
    """The lowest and highest rating that a user can give, such as 1 and 5."""

    minimum: float
    maximum: float

    @property
    def span(self) -> float:
        """The highest less the lowest rating; positive."""
        return self.maximum - self.minimum


@dataclass(frozen=True)
class Ratings:
    """Ratings as aligned columns of length n, in the order in which their source gives them.

    Attributes:
        user_ids: int64[n], 1 or more, gaps allowed.
        item_ids: int64[n], 1 or more, gaps allowed.
        values: float32[n], on the data set's rating scale.
        timestamps: int64[n], seconds since 1970 (UTC); 0 where the source has none.
    """

    user_ids: Int64s
    item_ids: Int64s
    values: Float32s
    timestamps: Int64s

    def __len__(self) -> int:
        return len(self.user_ids)

    def take(self, rows: npt.NDArray[np.integer]) -> "Ratings":
        """The ratings at these row numbers, in their order."""
        return Ratings(self.user_ids[rows], self.item_ids[rows], self.values[rows], self.timestamps[rows])

    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) over the columns as little-endian bytes, rows sorted by user, item and time.

        Equal for equal ratings, whatever order they came in.
        """
        order = self._order()
        digest = hashlib.sha256()
        # In portions, so that no column is in memory twice.
        for column, dtype in (
            (self.user_ids, "<i8"),
            (self.item_ids, "<i8"),
            (self.values, "<f4"),
            (self.timestamps, "<i8"),
        ):
            for start in range(0, len(order), _ROWS_AT_ONCE):
                digest.update(column[order[start : start + _ROWS_AT_ONCE]].astype(dtype).tobytes())
        return digest.hexdigest()

    def _order(self) -> Int64s:
        """The rows sorted by user, item and time."""
        keys = pair_keys(self.user_ids, self.item_ids)
        if keys is not None:
            order = np.argsort(keys)
            if not has_repeats(keys[order]):
                return order
        return np.lexsort((self.timestamps, self.item_ids, self.user_ids))


@dataclass(frozen=True)
class Items:
    """The catalogue: one entry an item, ascending by id.

    Attributes:
        ids: int64[n], strictly ascending, 1 or more.
        titles: n titles as shown to people, with the year where the source has it; "" where there is none.
        genres: n tuples of genre names; empty where there are none.
        lines: the number of the line that describes each, n numbers; empty where they do not come from one file.
    """

    ids: Int64s
    titles: tuple[str, ...]
    genres: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Users:
    """The users: one entry a user, ascending by id. A feature that the source does not have is an empty mapping entry.

    Attributes:
        ids: int64[n], strictly ascending, 1 or more.
        features: side features by name, each n strings ("" where unknown), such as `age`, `gender`, `occupation` and
            `zip_code`.
        lines: as of items.
    """

    ids: Int64s
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lines: tuple[int, ...] = ()


@dataclass(frozen=True)
class Description:
    """What is known of a data set but its ratings: all that is left to know once these are rows of tables.

    Attributes:
        name: such as `movielens/100k`, or the name of the rating file.
        fingerprint: of the ratings, as `Ratings.fingerprint` gives it.
        rating_count: how many there are, those that are only tested on left out.
        items: the catalogue.
        users: every user that has a rating or is described.
        scale: the rating scale.
    """

    name: str
    fingerprint: str
    rating_count: int
    items: Items
    users: Users
    scale: RatingScale


@dataclass(frozen=True)
class Dataset:
    """Everything that training needs.

    Attributes:
        name: such as `movielens/100k`, or the name of the rating file.
        source: where it came from, in words for people.
        ratings: the ratings to train on and, unless `test_ratings` is given, to hold test rows out of.
        test_ratings: ratings that are only ever tested on, where the caller has split them himself.
        items: the catalogue: every item that has a rating or is described.
        users: every user that has a rating or is described.
        scale: the rating scale.
    """

    name: str
    source: str
    ratings: Ratings
    test_ratings: Ratings | None
    items: Items
    users: Users
    scale: RatingScale

    def description(self) -> Description:
        """All but the ratings, which may then be let go of: ids and times take twice the memory that rows do."""
        fingerprint = self.ratings.fingerprint()
        return Description(self.name, fingerprint, len(self.ratings), self.items, self.users, self.scale)
