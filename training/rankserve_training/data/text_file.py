"""Reading a user's text file line by line, with the line numbers that an error has to name."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from rankserve_training.data.errors import DataError, Place

Line: TypeAlias = tuple[int, str]

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_LONGEST_FIRST_LINE = 1 << 20


@contextmanager
def open_lines(path: Path, *fallback_encodings: str) -> Iterator[Iterator[Line]]:
    """The lines of a text file that are not blank, each as (line number, text without its line end).

    Files compressed with gzip are read as what they hold. A line that is not UTF-8 is tried in the fallback encodings.

    Raises:
        DataError: if the file is missing, cannot be opened, is empty, damaged or not text, or if a line is in none of
            the encodings.
    """
    try:
        with _open_binary(path) as stream:
            yield _lines(path, stream, ("utf-8", *fallback_encodings))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory, not a file") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}") from error


@contextmanager
def _open_binary(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream:
        # Peeking, unlike seeking, also works where the path is a pipe.
        if stream.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.open(stream) as unzipped:
                yield cast("BinaryIO", unzipped)
        else:
            yield stream


def _lines(path: Path, stream: BinaryIO, encodings: tuple[str, ...]) -> Iterator[Line]:
    # What is not text may have no line ends at all: it must be noticed before all of it is in memory.
    first = stream.readline(_LONGEST_FIRST_LINE)
    if not first:
        raise DataError(f"{path}: is empty")
    if b"\0" in first or len(first) == _LONGEST_FIRST_LINE:
        raise DataError(f"{path}: is not a text file")
    yield from _decoded(path, 1, first.removeprefix(_UTF8_BOM), encodings)
    for number, line in enumerate(stream, start=2):
        yield from _decoded(path, number, line, encodings)


def _decoded(path: Path, number: int, line: bytes, encodings: tuple[str, ...]) -> Iterator[Line]:
    for encoding in encodings:
        try:
            text = line.decode(encoding).rstrip("\r\n")
        except UnicodeDecodeError:
            continue
        # Tabs alone are no blank line: they are fields without a value.
        if text.strip(" "):
            yield number, text
        return
    raise Place(path, number).error("is not UTF-8 text; convert the file to UTF-8")
