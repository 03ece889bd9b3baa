"""What comes with a user's own model: its items, its users, what they have seen, and how its rows are numbered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import Catalog, IdIndex, UserTable
from rankserve_training.artifact.manifest import ScaleEntry
from rankserve_training.data import DataError
from rankserve_training.data.items_file import read_items
from rankserve_training.data.ratings_file import read_ratings
from rankserve_training.data.users_file import read_users
from rankserve_training.model.own_model import Int64s, Places

Numbering: TypeAlias = Literal["sorted", "lines", "direct"]
Unknown: TypeAlias = Literal["row-0", "mean"]


@dataclass(frozen=True)
class RowNumbering:
    """How ids become rows of the model's tables.

    Attributes:
        ids: `sorted`: known ids have rows in ascending order; `lines`: in the order of their file; `direct`: an id is
            the number of its row; None for `sorted` or `lines` where they are the same.
        first_row: of the first known id, 0 or 1; nothing for `direct`.
        unknown: which row the unknown ids have; None for `row-0` where the convention of rankserve holds, that row 0
            is theirs, and `mean`, the average of the known rows, where no row can be theirs.
    """

    ids: Numbering | None = None
    first_row: int = 1
    unknown: Unknown | None = None


@dataclass(frozen=True)
class OwnCatalog:
    """Items and users, and where the model has their rows.

    Attributes:
        catalog: the items.
        users: the users.
        places: by side, `user` and `item`.
        rating_count: how many ratings say what users have seen.
        left_out: how many more are of users or items that are not known.
        fingerprint: of the ratings; "" without.
        scale: from the lowest to the highest rating; None without.
    """

    catalog: Catalog
    users: UserTable
    places: dict[str, Places]
    rating_count: int = 0
    left_out: int = 0
    fingerprint: str = ""
    scale: ScaleEntry | None = None


def read_own_catalog(items: Path, users: Path | None, ratings: Path | None, numbering: RowNumbering) -> OwnCatalog:
    """Reads what came with a model.

    Args:
        items: a file as `rankserve train --items` takes it.
        users: likewise; None for the users of the ratings.
        ratings: what users have seen; None for nothing.
        numbering: of the rows.

    Raises:
        DataError: where a file is broken or none says who the users are, or it cannot be told which row is whose.
    """
    described = read_items(items)
    rated = None if ratings is None else read_ratings(ratings).ratings
    if users is not None:
        people = read_users(users)
        user_ids, user_lines, source = people.ids, people.lines, users
    elif rated is not None and ratings is not None:
        user_ids, user_lines, source = np.unique(rated.user_ids), (), ratings
    else:
        raise DataError("whose are the rows of the user table? Give --users FILE, or --ratings FILE with all of them")
    catalog = Catalog(described.ids, described.titles, described.genres)
    places = {
        "user": _places(source, user_ids, user_lines, numbering),
        "item": _places(items, described.ids, described.lines, numbering),
    }
    index = IdIndex(user_ids)
    if rated is None:
        none: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        return OwnCatalog(catalog, UserTable.from_ratings(user_ids, none, none), places)
    user_rows, item_rows = index.rows(rated.user_ids), catalog.index.rows(rated.item_ids)
    known = (user_rows > 0) & (item_rows > 0)
    low, high = float(rated.values.min()), float(rated.values.max())
    return OwnCatalog(
        catalog,
        UserTable.from_ratings(user_ids, user_rows[known], item_rows[known]),
        places,
        rating_count=int(known.sum()),
        left_out=int((~known).sum()),
        fingerprint=rated.fingerprint(),
        scale=ScaleEntry(low, high) if low < high else None,
    )


def _places(path: Path, ids: Int64s, lines: Sequence[int], numbering: RowNumbering) -> Places:
    """Where the rows of these ids, ascending, are.

    Args:
        path: where they were read, for messages.
        ids: int64[n].
        lines: n line numbers; empty where ids have no order but their own.
        numbering: of all rows.
    """
    if numbering.ids == "direct":
        unknown = 0 if numbering.unknown == "row-0" else None
        return Places(ids, unknown, None)
    order = np.argsort(np.array(lines)) if len(lines) else np.arange(len(ids))
    if numbering.ids is None and (order != np.arange(len(ids))).any():
        raise DataError(
            f"{path}: the ids do not ascend, so whose row is the first? Say --ids lines where the model's rows are in "
            "the order of the file, --ids sorted where they are in that of the ids"
        )
    known = np.arange(numbering.first_row, numbering.first_row + len(ids), dtype=np.int64)
    if numbering.ids == "lines":
        ranks = np.empty_like(known)
        ranks[order] = known
        known = ranks
    if numbering.first_row == 0 and numbering.unknown == "row-0":
        raise DataError("with --first-row 0 row 0 is that of a known id, so unknown ids can only have --unknown mean")
    row_0 = numbering.first_row == 1 and numbering.unknown != "mean"
    return Places(known, 0 if row_0 else None, len(ids) + numbering.first_row)
