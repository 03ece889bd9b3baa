"""What an artifact says of its items and users: ids, titles, genres, and who has rated what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact.columns import (
    check_column,
    check_offsets,
    offsets_of,
    pack_strings,
    read_columns,
    unpack_strings,
    write_columns,
)
from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.ids import IdIndex

_GENRE_SEPARATOR = "|"


class Catalog:
    """The items of a model. The item in row r (1..n) of its tables has `ids[r - 1]`; row 0 is every unknown item.

    Attributes:
        ids: int64[n], strictly ascending, 1 or more.
        titles: n titles; "" where there is none.
        genres: n tuples of genre names.
        rows: int32[n], 1 to n.
        index: from ids to rows.
    """

    def __init__(self, ids: npt.NDArray[np.int64], titles: Sequence[str], genres: Sequence[tuple[str, ...]]) -> None:
        if not len(ids) == len(titles) == len(genres):
            raise ValueError("`ids`, `titles` and `genres` should have the same length.")
        self.ids = ids
        self.titles = list(titles)
        self.genres = list(genres)
        self.rows = np.arange(1, len(ids) + 1, dtype=np.int32)
        self.index = IdIndex(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def title(self, item_id: int) -> str:
        """The title of an item; "" where it is not known or has none."""
        row = self.index.row(item_id)
        return self.titles[row - 1] if row else ""

    def write(self, path: Path) -> None:
        """Writes `catalog.npz`."""
        genres = [_GENRE_SEPARATOR.join(names) for names in self.genres]
        write_columns(path, {"ids": self.ids, **pack_strings("titles", self.titles), **pack_strings("genres", genres)})

    @staticmethod
    def read(path: Path) -> "Catalog":
        """Reads `catalog.npz`.

        Raises:
            ArtifactError: where a column is missing or does not fit the others.
        """
        columns = read_columns(path, ["ids", "titles.utf8", "titles.offsets", "genres.utf8", "genres.offsets"])
        ids = columns["ids"]
        try:
            check_column("ids", ids, np.int64)
            for name in ("titles", "genres"):
                check_column(f"{name}.utf8", columns[f"{name}.utf8"], np.uint8)
                check_offsets(f"{name}.offsets", columns[f"{name}.offsets"], len(ids), len(columns[f"{name}.utf8"]))
            genres = [
                tuple(names.split(_GENRE_SEPARATOR)) if names else () for names in unpack_strings("genres", columns)
            ]
            return Catalog(ids.astype(np.int64), unpack_strings("titles", columns), genres)
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from error


@dataclass(frozen=True)
class UserTable:
    """The users of a model. The user in row r (1..n) of its tables has `ids[r - 1]`; row 0 is every unknown user.

    Attributes:
        index: from ids to rows.
        seen_offsets: int64[n + 1].
        seen_rows: int32[ratings], the item rows that each user has rated, ascending:
            those of row r are `seen_rows[seen_offsets[r - 1]:seen_offsets[r]]`.
    """

    index: IdIndex
    seen_offsets: npt.NDArray[np.int64]
    seen_rows: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.index)

    def seen(self, row: int) -> npt.NDArray[np.int32]:
        """The item rows that the user in `row` has rated, ascending: int32[k]. Empty for row 0."""
        if row == 0:
            return self.seen_rows[:0]
        return self.seen_rows[self.seen_offsets[row - 1] : self.seen_offsets[row]]

    def write(self, path: Path) -> None:
        """Writes `users.npz`."""
        write_columns(path, {"ids": self.index.ids, "seen.offsets": self.seen_offsets, "seen.rows": self.seen_rows})

    @staticmethod
    def from_ratings(
        ids: npt.NDArray[np.int64], user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32]
    ) -> "UserTable":
        """The table of the users `ids`, from the rows of all ratings (int32[ratings] each, 1 or more)."""
        order = np.lexsort((item_rows, user_rows))
        counts = np.bincount(user_rows, minlength=len(ids) + 1)[1:]
        return UserTable(IdIndex(ids), offsets_of(counts), item_rows[order])

    @staticmethod
    def read(path: Path, item_count: int) -> "UserTable":
        """Reads `users.npz`.

        Raises:
            ArtifactError: where a column is missing, does not fit the others or names a row past `item_count`.
        """
        columns = read_columns(path, ["ids", "seen.offsets", "seen.rows"])
        ids, offsets, rows = columns["ids"], columns["seen.offsets"], columns["seen.rows"]
        try:
            check_column("ids", ids, np.int64)
            check_column("seen.rows", rows, np.int32)
            check_offsets("seen.offsets", offsets, len(ids), len(rows))
            if len(rows) and not 1 <= rows.min() <= rows.max() <= item_count:
                raise ArtifactError(f"column 'seen.rows' should hold rows from 1 to {item_count}")
            return UserTable(IdIndex(ids.astype(np.int64)), offsets.astype(np.int64), rows.astype(np.int32))
        except ValueError as error:
            raise ArtifactError(f"{path}: {error}") from error
