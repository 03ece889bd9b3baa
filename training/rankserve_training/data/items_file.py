"""Files that describe items: GroupLens' `u.item` and `movies.csv`, and RecBole's `.item`."""

from itertools import chain
from pathlib import Path

import numpy as np

from rankserve_training.data.dataset import Items
from rankserve_training.data.errors import Place
from rankserve_training.data.table_file import Layout, Row, check_columns, first_line, header, read_rows
from rankserve_training.data.text_file import open_lines

# The 19 flags of u.item in their order, by the names that TFDS gives them, so that a catalogue is the same either way.
U_ITEM_GENRES = (
    "Unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_U_ITEM = ("item id", "title", "release date", "video release date", "IMDb URL", *U_ITEM_GENRES)
_CSV = ("movieId", "title", "genres")
_RECBOLE_TITLES = ("movie_title", "title", "item_name", "name")
_RECBOLE_GENRES = ("class", "genre", "genres", "category", "categories")
_RECBOLE_YEAR = "release_year"
# What GroupLens writes where there are none.
NO_GENRES = "(no genres listed)"


def read_items(path: Path) -> Items:
    """The items that a file describes, ascending by id. Its format is told from its first line.

    Titles are shown with their year: GroupLens writes it into the title, RecBole into a column of its own.

    Raises:
        DataError: if the file cannot be read, is in none of the formats, describes no item, or has a broken line.
    """
    with open_lines(path, "latin-1") as lines:
        first = first_line(path, lines)
        layout = _layout(Place(path, first[0]), first[1])
        rows = read_rows(path, lines if layout.has_header else chain([first], lines), layout, "item")
    return Items(
        ids=np.array([row.id for row in rows], np.int64),
        titles=tuple(_title(row) for row in rows),
        genres=tuple(_genres(row) for row in rows),
        lines=tuple(row.place.line for row in rows),
    )


def title_with_year(title: str, year: str) -> str:
    """`Toy Story` and `1995` as `Toy Story (1995)`.

    RecBole cuts a title at its last bracket, so the year may also be the `V` of `... (1995) (V)`. For a movie without a
    year it repeats the title in the year's place.
    """
    return title if year in ("", title) or not title else f"{title} ({year})"


def _layout(place: Place, line: str) -> Layout:
    if ":token" in line or ":float" in line:
        columns = header(place, line, "\t")
        known = ("item_id", *_RECBOLE_TITLES, _RECBOLE_YEAR, *_RECBOLE_GENRES)
        check_columns(place, columns, ("item_id",), known)
        return Layout("\t", columns, "item_id", has_header=True)
    # A title in a CSV file may contain a `|` too, but the header does not.
    if "|" in line:
        return Layout("|", _U_ITEM, "item id", has_header=False)
    if "," in line and "::" not in line:
        columns = header(place, line, ",")
        check_columns(place, columns, ("movieId", "title"), _CSV)
        return Layout(",", columns, "movieId", has_header=True)
    raise place.error(
        "is in none of the known formats: u.item, CSV with the header movieId,title,genres, or RecBole .item"
    )


def _title(row: Row) -> str:
    for column in _RECBOLE_TITLES:
        if column in row.fields:
            return title_with_year(row.fields[column], row.fields.get(_RECBOLE_YEAR, ""))
    return ""


def _genres(row: Row) -> tuple[str, ...]:
    if "Unknown" in row.fields:
        return tuple(genre for genre in U_ITEM_GENRES if _flag(row, genre))
    for column in _RECBOLE_GENRES:
        if column in row.fields:
            names = row.fields[column]
            is_csv = "movieId" in row.fields
            return () if names == NO_GENRES else tuple(filter(None, names.split("|" if is_csv else " ")))
    return ()


def _flag(row: Row, genre: str) -> bool:
    text = row.fields[genre]
    if text not in ("0", "1"):
        raise row.place.error(f"the flag for genre {genre} is {text!r}; 0 or 1 is expected")
    return text == "1"
