"""Files that describe items or users, one a line: what `items_file` and `users_file` share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rankserve_training.data.errors import DataError, Place
from rankserve_training.data.fields import parse_id, split, split_freely
from rankserve_training.data.text_file import Line


@dataclass(frozen=True)
class Layout:
    """How a line is made up.

    Attributes:
        delimiter: between two fields.
        columns: the names of the fields in their order; each once.
        id_column: which of them is the id.
        has_header: whether the first line names the columns.
    """

    delimiter: str
    columns: tuple[str, ...]
    id_column: str
    has_header: bool


@dataclass(frozen=True)
class Row:
    """One described item or user: its id, and its fields by column."""

    place: Place
    id: int
    fields: dict[str, str]


def first_line(path: Path, lines: Iterator[Line]) -> Line:
    """The first line that is not blank."""
    line = next(lines, None)
    if line is None:
        raise DataError(f"{path}: is empty")
    return line


def header(place: Place, line: str, delimiter: str) -> tuple[str, ...]:
    """The column names in a header; RecBole's types (`:token`) are taken off.

    Raises:
        DataError: if a column is there twice.
    """
    names = split_freely(place, line, delimiter)
    columns = tuple(name.partition(":")[0] if delimiter == "\t" else name for name in names)
    for column in columns:
        if columns.count(column) > 1:
            raise place.error(f"the header has the column {column!r} twice")
    return columns


def check_columns(place: Place, columns: tuple[str, ...], required: Iterable[str], known: Iterable[str]) -> None:
    """Refuses a header that lacks a required column or has one that is not known."""
    known = tuple(known)
    for column in columns:
        if column not in known:
            raise place.error(f"the header has an unknown column {column!r}; known are {', '.join(known)}")
    for column in required:
        if column not in columns:
            raise place.error(f"the header has no column {column!r}")


def read_rows(path: Path, lines: Iterator[Line], layout: Layout, what: str) -> list[Row]:
    """The rows of the lines, ascending by id.

    Args:
        path: the file that the lines are from, for errors.
        lines: the lines without the header.
        layout: how they are made up.
        what: what a row describes, "item" or "user", for errors.

    Raises:
        DataError: if there are no lines, or a line is broken or describes what has been described before.
    """
    rows: dict[int, Row] = {}
    for number, line in lines:
        place = Place(path, number)
        fields = dict(zip(layout.columns, split(place, line, layout.delimiter, layout.columns), strict=True))
        row = Row(place, parse_id(place, f"{what} id", fields[layout.id_column]), fields)
        if row.id in rows:
            raise place.error(f"{what} {row.id} is described before, in line {rows[row.id].place.line}")
        rows[row.id] = row
    if not rows:
        raise DataError(f"{path}: has a header but no {what}s")
    return [row for _, row in sorted(rows.items())]
