"""Files that describe users: GroupLens' `u.user`, RecBole's `.user`, and CSV."""

from itertools import chain
from pathlib import Path

import numpy as np

from rankserve_training.data.dataset import Users
from rankserve_training.data.errors import Place
from rankserve_training.data.table_file import Layout, check_columns, first_line, header, read_rows
from rankserve_training.data.text_file import open_lines

_U_USER = ("user id", "age", "gender", "occupation", "zip_code")


def read_users(path: Path) -> Users:
    """The users that a file describes, ascending by id, with every other column as a feature of its name.

    The format is told from the first line: `u.user` (`1|24|M|technician|85711`), RecBole `.user` (its header starts
    with `user_id:token`), or CSV with a header that has `userId`.

    Raises:
        DataError: if the file cannot be read, is in none of the formats, describes no user, or has a broken line.
    """
    with open_lines(path, "latin-1") as lines:
        first = first_line(path, lines)
        layout = _layout(Place(path, first[0]), first[1])
        rows = read_rows(path, lines if layout.has_header else chain([first], lines), layout, "user")
    features = [column for column in layout.columns if column != layout.id_column]
    return Users(
        ids=np.array([row.id for row in rows], np.int64),
        features={name: tuple(row.fields[name] for row in rows) for name in features},
        lines=tuple(row.place.line for row in rows),
    )


def _layout(place: Place, line: str) -> Layout:
    if ":token" in line or ":float" in line:
        return _with_header(place, line, "\t", "user_id")
    if "|" in line:
        return Layout("|", _U_USER, "user id", has_header=False)
    if "," in line or line.strip() == "userId":
        return _with_header(place, line, ",", "userId")
    raise place.error("is in none of the known formats: u.user, CSV with a header that has userId, or RecBole .user")


def _with_header(place: Place, line: str, delimiter: str, id_column: str) -> Layout:
    columns = header(place, line, delimiter)
    check_columns(place, columns, (id_column,), columns)
    for column in columns:
        if not column:
            raise place.error("the header has a column without a name")
    return Layout(delimiter, columns, id_column, has_header=True)
