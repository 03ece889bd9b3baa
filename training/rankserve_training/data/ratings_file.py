"""Rating files: GroupLens' `u.data` and CSV, and RecBole's `.inter`.

Lines are parsed in bulk by numpy. Only when something is odd in a block of lines, they are gone through one by one, to
leave out blank ones and to find the first culprit.
"""

import io
import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_training.data.dataset import Int64s, Ratings, RatingScale
from rankserve_training.data.errors import DataError, Place
from rankserve_training.data.fields import is_integer, parse_id, split, split_freely
from rankserve_training.data.pairs import has_repeats, pair_keys
from rankserve_training.data.text_file import Block, Line, open_blocks

_Rows: TypeAlias = npt.NDArray[np.void]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)

_U_DATA_COLUMNS = ("user id", "item id", "rating", "timestamp")
_CSV_COLUMNS = {"userId": "user id", "movieId": "item id", "rating": "rating", "timestamp": "timestamp"}
_INTER_COLUMNS = {"user_id": "user id", "item_id": "item id", "rating": "rating", "timestamp": "timestamp"}


@dataclass(frozen=True)
class RatingsFile:
    """The ratings of a file, in its order, and the line that each stands in.

    Attributes:
        path: the file.
        ratings: its n ratings.
        lines: int64[n], numbered from 1.
    """

    path: Path
    ratings: Ratings
    lines: Int64s

    def place(self, row: int) -> Place:
        """Where the rating in this row stands."""
        return Place(self.path, int(self.lines[row]))


@dataclass(frozen=True)
class _Layout:
    """How a line is made up: the delimiter, and the columns in the order of the file."""

    delimiter: str
    columns: tuple[str, ...]
    has_header: bool
    whole_seconds: bool

    @property
    def dtype(self) -> np.dtype[np.void]:
        kinds = {"rating": "f8", "timestamp": "i8" if self.whole_seconds else "f8"}
        return np.dtype([(column, kinds.get(column, "i8")) for column in self.columns])


def read_ratings(path: Path, scale: RatingScale | None = None) -> RatingsFile:
    """The ratings in a file. Its format is told from its first line; blank lines are skipped.

    Args:
        path: the file: plain or compressed with gzip, UTF-8, with or without a byte order mark.
        scale: the scale that every rating must be on; any finite rating is taken where it is None.

    Raises:
        DataError: if the file cannot be read, its first line is in none of the formats, it has no ratings, or a line is
            broken: wrong number of fields, an id that is not an integer from 1 to 2^63 - 1, a rating that is not a
            finite number or off the scale, a timestamp that is not a number, or a user's second rating of an item.
    """
    with open_blocks(path) as blocks:
        first = next((line for block in blocks for line in block.lines()), None)
        if first is None:
            raise DataError(f"{path}: is empty")
        number, text = first
        layout = _layout(Place(path, number), text)
        rest = blocks if layout.has_header else chain([Block(path, number, text.encode())], blocks)
        # Nothing holds on to the parts, so that all ratings are in memory twice only while they are put together.
        file = _joined(path, [_read_block(layout, block, scale) for block in rest])
    _refuse_repeats(file)
    return file


def first_repeat(user_ids: Int64s, item_ids: Int64s) -> tuple[int, int] | None:
    """The rows (earlier, later) of the first pair of user and item that has occurred before; None if there is none."""
    keys = pair_keys(user_ids, item_ids)
    if keys is not None:
        keys.sort()
        if not has_repeats(keys):
            return None
    del keys
    order = np.lexsort((item_ids, user_ids))
    users, items = user_ids[order], item_ids[order]
    repeated = np.flatnonzero((users[1:] == users[:-1]) & (items[1:] == items[:-1]))
    if not len(repeated):
        return None
    # The sort is stable, so the rows of a pair stand in the order of the file.
    later = order[repeated + 1]
    first = int(np.argmin(later))
    return int(order[repeated[first]]), int(later[first])


def _layout(place: Place, line: str) -> _Layout:
    if ":token" in line or ":float" in line:
        header = split_freely(place, line, "\t")
        names = tuple(name.partition(":")[0] for name in header)
        return _Layout("\t", _named(place, names, _INTER_COLUMNS), has_header=True, whole_seconds=False)
    if "\t" in line:
        count = 3 if line.count("\t") == 2 else 4
        return _Layout("\t", _U_DATA_COLUMNS[:count], has_header=False, whole_seconds=True)
    if "," in line and "::" not in line:
        names = tuple(split_freely(place, line, ","))
        return _Layout(",", _named(place, names, _CSV_COLUMNS), has_header=True, whole_seconds=True)
    raise place.error(
        "is in none of the known formats: tab-separated like u.data, CSV with the header "
        "userId,movieId,rating,timestamp, or RecBole .inter"
    )


def _named(place: Place, names: tuple[str, ...], known: dict[str, str]) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise place.error(f"the header has an unknown column {name!r}; known are {', '.join(known)}")
        if names.count(name) > 1:
            raise place.error(f"the header has the column {name!r} twice")
    for name in known:
        if name not in names and name != "timestamp":
            raise place.error(f"the header has no column {name!r}")
    return tuple(known[name] for name in names)


def _read_block(layout: _Layout, block: Block, scale: RatingScale | None) -> RatingsFile:
    try:
        rows = _parse(layout, io.StringIO(block.content.decode("utf-8")))
    except ValueError:
        return _read_lines(layout, block, scale)
    # Fewer rows than lines: there are blank lines, or line ends between quotes.
    if len(rows) != block.line_count() or not _is_valid(rows, layout, scale):
        return _read_lines(layout, block, scale)
    return _ratings(block.path, layout, rows, np.arange(block.number, block.number + len(rows)))


def _read_lines(layout: _Layout, block: Block, scale: RatingScale | None) -> RatingsFile:
    lines = list(block.lines())
    try:
        rows = _parse(layout, [text for _, text in lines])
    except ValueError as error:
        _refuse_first_fault(block.path, layout, lines, scale)
        raise DataError(f"{block.path}: lines {lines[0][0]} to {lines[-1][0]} cannot be read: {error}") from error
    if len(rows) != len(lines) or not _is_valid(rows, layout, scale):
        _refuse_first_fault(block.path, layout, lines, scale)
        raise DataError(f"{block.path}: lines {lines[0][0]} to {lines[-1][0]} cannot be read")
    return _ratings(block.path, layout, rows, np.fromiter((number for number, _ in lines), np.int64, len(lines)))


def _parse(layout: _Layout, lines: Iterable[str]) -> _Rows:
    with warnings.catch_warnings():
        # There may be blank lines only.
        warnings.filterwarnings("ignore", "loadtxt: input contained no data", UserWarning)
        rows: _Rows = np.loadtxt(
            lines,
            dtype=layout.dtype,
            delimiter=layout.delimiter,
            quotechar='"' if layout.delimiter == "," else None,
            comments=None,
            ndmin=1,
        )
    return rows


def _ratings(path: Path, layout: _Layout, rows: _Rows, lines: Int64s) -> RatingsFile:
    timestamps = rows["timestamp"].astype(np.int64) if "timestamp" in layout.columns else np.zeros(len(rows), np.int64)
    ratings = Ratings(
        user_ids=np.ascontiguousarray(rows["user id"]),
        item_ids=np.ascontiguousarray(rows["item id"]),
        values=rows["rating"].astype(np.float32),
        timestamps=timestamps,
    )
    return RatingsFile(path, ratings, lines)


def _is_valid(rows: _Rows, layout: _Layout, scale: RatingScale | None) -> bool:
    if not len(rows):
        return True
    if rows["user id"].min() < 1 or rows["item id"].min() < 1:
        return False
    if "timestamp" in layout.columns and not np.all(np.abs(rows["timestamp"].astype(np.float64)) < 2.0**63):
        return False
    with np.errstate(over="ignore"):
        values = rows["rating"].astype(np.float32)
    low, high = _bounds(scale)
    # Written so that NaN fails it.
    return bool(np.all((values >= low) & (values <= high)))


def _bounds(scale: RatingScale | None) -> tuple[np.float32, np.float32]:
    """The lowest and the highest rating allowed, in the precision in which ratings are kept.

    A scale of 0.1 to 4.1 would refuse its own end points if ratings were compared in another precision.
    """
    if scale is None:
        finite = np.finfo(np.float32)
        return finite.min, finite.max
    return np.float32(scale.minimum), np.float32(scale.maximum)


def _refuse_first_fault(path: Path, layout: _Layout, lines: list[Line], scale: RatingScale | None) -> None:
    for number, text in lines:
        _refuse_faults(Place(path, number), layout, text, scale)


def _refuse_faults(place: Place, layout: _Layout, line: str, scale: RatingScale | None) -> None:
    for column, text in zip(layout.columns, split(place, line, layout.delimiter, layout.columns), strict=True):
        if column == "rating":
            _check_rating(place, text, scale)
        elif column == "timestamp":
            _check_timestamp(place, text, layout.whole_seconds)
        else:
            parse_id(place, column, text)


def _check_rating(place: Place, text: str, scale: RatingScale | None) -> None:
    if _NOT_FINITE.fullmatch(text):
        raise place.error(f"rating {text!r} is not a finite number")
    if not _NUMBER.fullmatch(text):
        raise place.error(f"rating {text!r} is not a number")
    with np.errstate(over="ignore"):
        value = np.float32(float(text))
    if not np.isfinite(value):
        raise place.error(f"rating {text!r} is too large for a 32-bit float")
    low, high = _bounds(scale)
    if scale is not None and not low <= value <= high:
        raise place.error(f"rating {text} is off the scale, {scale.minimum:g} to {scale.maximum:g}")


def _check_timestamp(place: Place, text: str, whole_seconds: bool) -> None:
    if whole_seconds and not is_integer(text):
        raise place.error(f"timestamp {text!r} is not an integer (seconds since 1970)")
    if not _NUMBER.fullmatch(text):
        raise place.error(f"timestamp {text!r} is not a number (seconds since 1970)")
    if not math.fabs(float(text)) < 2.0**63:
        raise place.error(f"timestamp {text!r} does not fit into 64 bits")


def _joined(path: Path, blocks: list[RatingsFile]) -> RatingsFile:
    if not any(len(block.ratings) for block in blocks):
        raise DataError(f"{path}: has a header but no ratings")
    return RatingsFile(
        path,
        Ratings(
            user_ids=np.concatenate([block.ratings.user_ids for block in blocks]),
            item_ids=np.concatenate([block.ratings.item_ids for block in blocks]),
            values=np.concatenate([block.ratings.values for block in blocks]),
            timestamps=np.concatenate([block.ratings.timestamps for block in blocks]),
        ),
        np.concatenate([block.lines for block in blocks]),
    )


def _refuse_repeats(file: RatingsFile) -> None:
    repeat = first_repeat(file.ratings.user_ids, file.ratings.item_ids)
    if repeat is not None:
        earlier, later = repeat
        user, item = file.ratings.user_ids[later], file.ratings.item_ids[later]
        raise file.place(later).error(
            f"user {user} has rated item {item} before, in line {file.lines[earlier]}; keep one of the two"
        )
