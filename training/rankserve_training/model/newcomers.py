"""What is known of a stranger, as the weighted entries whose sum is his row.

The rows of the model of newcomers (see `two_tower`) are numbered here:

    user   0 always, 1 the mean of his ratings, one for each item that can have been rated (how well it was rated), one
           for each item again (that it was rated), one for each value of each feature
    item   0 always, one for each value of each feature
"""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from rankserve_training.artifact.columns import check_column, read_columns, write_columns
from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.json_files import read_json_bytes

ALWAYS_ROW, MEAN_ROW, FIRST_ITEM_ROW = 0, 1, 2
GENRE, YEAR = "genre", "year"

_YEAR_IN_TITLE = re.compile(r"\((\d{4})\)")


class Feature(msgspec.Struct, frozen=True):
    """A feature whose values have rows.

    Attributes:
        name: such as `age`.
        values: names that have rows, in their order; empty for a number.
        edges: ascending; a number has the row of how many of them it has reached. Empty for names.
        characters: how many of a value's first characters count; 0 for all.
    """

    name: str
    values: list[str] = []
    edges: list[float] = []
    characters: int = 0

    @property
    def count(self) -> int:
        """How many rows it has."""
        return len(self.edges) + 1 if self.edges else len(self.values)

    def place(self, value: str) -> int | None:
        """Which of its rows a value has; None for one that says nothing, or that training has not seen."""
        if self.edges:
            try:
                number = float(value)
            except ValueError:
                return None
            return None if math.isnan(number) else bisect_right(self.edges, number)
        key = value[: self.characters] if self.characters else value
        return self.values.index(key) if key in self.values else None


@dataclass(frozen=True)
class Entries:
    """Rows to be summed.

    Attributes:
        rows: int32[k].
        weights: float32[k].
    """

    rows: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


class Encoding(msgspec.Struct, frozen=True):
    """What the entries are made with, apart from what is there for each item and user.

    Attributes:
        mean: of all ratings.
        shrinkage: so many ratings of the mean count with the ratings of a user.
        user_features: in the order of their rows.
        item_features: likewise: `genre` and `year`, where the items have them.
    """

    mean: float
    shrinkage: float
    user_features: list[Feature]
    item_features: list[Feature]


@dataclass(frozen=True)
class Newcomers:
    """Makes the entries of strangers, and of known users with fresh ratings.

    Attributes:
        encoding: features and constants.
        item_offsets: float32[items + 1], by how much the item in a row is rated above the mean; 0 for row 0.
        user_means: float32[users + 1], by how much a user rates above the mean and the offsets of his items, shrunk.
        user_counts: int32[users + 1], how many ratings of a user were trained on.
    """

    encoding: Encoding
    item_offsets: npt.NDArray[np.float32]
    user_means: npt.NDArray[np.float32]
    user_counts: npt.NDArray[np.int32]

    @property
    def item_count(self) -> int:
        """How many items there are."""
        return len(self.item_offsets) - 1

    @property
    def user_rows(self) -> int:
        """How many rows the users' table has."""
        return FIRST_ITEM_ROW + 2 * self.item_count + sum(feature.count for feature in self.encoding.user_features)

    @property
    def item_rows(self) -> int:
        """How many rows the items' table has."""
        return 1 + sum(feature.count for feature in self.encoding.item_features)

    def user(
        self,
        items: npt.NDArray[np.int32],
        ratings: npt.NDArray[np.float32],
        features: Mapping[str, str] = {},
        row: int = 0,
    ) -> Entries:
        """The entries of a user.

        Args:
            items: int32[h], rows of the items that he has rated, none of them 0, each once.
            ratings: float32[h], on the rating scale.
            features: by name; those that are not known here do not count.
            row: of a known user, whose row these entries are to be added to; 0 for a stranger. A known user's
                features do not count, as his row has them.
        """
        count = int(self.user_counts[row])
        residuals = self._residuals(items, ratings)
        mean = self._mean(residuals, row)
        scale = np.float32(max(count + len(items), 1) ** -0.5)
        fixed = [(MEAN_ROW, mean - self.user_means[row])]
        if not row:
            fixed = [(ALWAYS_ROW, 1.0), *fixed, *self._features(features)]
        first, middle = len(fixed), len(fixed) + len(items)
        rows = np.empty(middle + len(items), np.int32)
        weights = np.empty(len(rows), np.float32)
        rows[:first], weights[:first] = zip(*fixed, strict=True)
        rows[first:middle] = items + np.int32(FIRST_ITEM_ROW - 1)
        rows[middle:] = items + np.int32(FIRST_ITEM_ROW - 1 + self.item_count)
        weights[first:middle] = (residuals - mean) * scale
        weights[middle:] = scale
        return Entries(rows, weights)

    def from_means(
        self,
        candidates: npt.NDArray[np.int32],
        items: npt.NDArray[np.int32],
        ratings: npt.NDArray[np.float32],
        row: int = 0,
    ) -> npt.NDArray[np.float32]:
        """What the means alone predict, without any tower: float32[n], not clipped to the scale.

        Args:
            candidates: int32[n], rows of items; 0 for an unknown one.
            items: int32[h], as in `user`.
            ratings: float32[h], as in `user`.
            row: of a known user; 0 for a stranger.
        """
        above = self.item_offsets[candidates] + self._mean(self._residuals(items, ratings), row)
        predicted: npt.NDArray[np.float32] = np.float32(self.encoding.mean) + above.astype(np.float32)
        return predicted

    def _residuals(self, items: npt.NDArray[np.int32], ratings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Each rating above the mean and the offset of its item."""
        residuals: npt.NDArray[np.float32] = ratings - np.float32(self.encoding.mean) - self.item_offsets[items]
        return residuals

    def _mean(self, residuals: npt.NDArray[np.float32], row: int) -> Any:
        """By how much a user rates above the mean and the offsets of his items, with these ratings too, shrunk."""
        shrunk = int(self.user_counts[row]) + self.encoding.shrinkage
        return (self.user_means[row] * shrunk + residuals.sum(dtype=np.float32)) / (shrunk + len(residuals))

    def item(self, genres: Sequence[str], year: int) -> Entries:
        """The entries of an item of which only this is known; a year of 0 is not known."""
        rows, weights = [ALWAYS_ROW], [1.0]
        first = 1
        for feature in self.encoding.item_features:
            values = list(dict.fromkeys(genres)) if feature.name == GENRE else [str(year)] if year else []
            places = [place for place in map(feature.place, values) if place is not None]
            rows += [first + place for place in places]
            weights += [len(places) ** -0.5 for _ in places]
            first += feature.count
        return Entries(np.array(rows, np.int32), np.array(weights, np.float32))

    def _features(self, features: Mapping[str, str]) -> Iterable[tuple[int, float]]:
        first = FIRST_ITEM_ROW + 2 * self.item_count
        for feature in self.encoding.user_features:
            place = feature.place(features.get(feature.name, ""))
            if place is not None:
                yield first + place, 1.0
            first += feature.count

    def write(self, encoding_path: Path, columns_path: Path) -> None:
        """Writes `newcomers.json` and `newcomers.npz`."""
        encoding_path.write_bytes(msgspec.json.format(msgspec.json.encode(self.encoding), indent=2) + b"\n")
        columns = {"item_offsets": self.item_offsets, "user_means": self.user_means, "user_counts": self.user_counts}
        write_columns(columns_path, columns)

    @staticmethod
    def read(encoding_path: Path, columns_path: Path, user_count: int, item_count: int) -> "Newcomers":
        """Reads them.

        Raises:
            ArtifactError: where they cannot be read or do not fit together.
        """
        try:
            encoding = msgspec.json.decode(read_json_bytes(encoding_path), type=Encoding)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ArtifactError(f"{encoding_path} cannot be read: {error}") from error
        columns = read_columns(columns_path, ["item_offsets", "user_means", "user_counts"])
        sizes = {"item_offsets": item_count + 1, "user_means": user_count + 1, "user_counts": user_count + 1}
        for name, size in sizes.items():
            check_column(name, columns[name], np.int32 if name == "user_counts" else np.float32)
            if len(columns[name]) != size or not np.isfinite(columns[name].astype(np.float64)).all():
                raise ArtifactError(f"{columns_path}: column {name!r} should hold {size} finite numbers")
        return Newcomers(
            encoding,
            columns["item_offsets"].astype(np.float32),
            columns["user_means"].astype(np.float32),
            columns["user_counts"].astype(np.int32),
        )


def year_of(title: str) -> int:
    """The year that stands in brackets in a title; 0 where there is none."""
    found = _YEAR_IN_TITLE.findall(title)
    return int(found[-1]) if found else 0
