"""Reading a user's text file by blocks or line by line, with the line numbers that an error has to name."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from rankserve_training.data.errors import DataError, Place

Line: TypeAlias = tuple[int, str]

_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
_LONGEST_FIRST_LINE = 1 << 20
_BLOCK_BYTES = 1 << 20
_BLANK = b" \r\n"


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes:
        path: the file.
        number: that of the first line.
        content: the lines with their ends, not decoded.
    """

    path: Path
    number: int
    content: bytes

    def line_count(self) -> int:
        """How many lines there are, blank ones too."""
        return self.content.count(b"\n") + (not self.content.endswith(b"\n"))

    def lines(self, *fallback_encodings: str) -> Iterator[Line]:
        """The lines that are not blank; see `open_lines`."""
        for number, line in enumerate(io.BytesIO(self.content), start=self.number):
            text = _decoded(Place(self.path, number), line, ("utf-8", *fallback_encodings))
            # Tabs alone are no blank line: they are fields without a value.
            if text.strip(" "):
                yield number, text


@contextmanager
def open_blocks(path: Path) -> Iterator[Iterator[Block]]:
    """A text file in blocks of some ten thousand lines. The first line that is not blank ends a block.

    Files compressed with gzip are read as what they hold.

    Raises:
        DataError: if the file is missing, cannot be opened, is empty, damaged or not text.
    """
    try:
        with _open_binary(path) as stream:
            yield _blocks(path, stream)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a directory, not a file") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read: {reason}") from error


@contextmanager
def open_lines(path: Path, *fallback_encodings: str) -> Iterator[Iterator[Line]]:
    """The lines of a text file that are not blank, each as (line number, text without its line end).

    A line that is not UTF-8 is tried in the fallback encodings.

    Raises:
        DataError: as `open_blocks`, or if a line is in none of the encodings.
    """
    with open_blocks(path) as blocks:
        yield (line for block in blocks for line in block.lines(*fallback_encodings))


@contextmanager
def _open_binary(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as stream:
        # Peeking, unlike seeking, also works where the path is a pipe.
        if stream.peek(2)[:2] == _GZIP_MAGIC:
            with gzip.open(stream) as unzipped:
                yield cast("BinaryIO", unzipped)
        else:
            yield stream


def _blocks(path: Path, stream: BinaryIO) -> Iterator[Block]:
    # What is not text may have no line ends at all: it must be noticed before all of it is in memory.
    line = stream.readline(_LONGEST_FIRST_LINE)
    if not line:
        raise DataError(f"{path}: is empty")
    if b"\0" in line or len(line) == _LONGEST_FIRST_LINE:
        raise DataError(f"{path}: is not a text file")
    number, line = 1, line.removeprefix(_UTF8_BOM)
    while line:
        yield Block(path, number, line)
        number += 1
        if line.strip(_BLANK):
            break
        line = stream.readline()
    while content := stream.read(_BLOCK_BYTES):
        block = Block(path, number, content + stream.readline())
        yield block
        number += block.line_count()


def _decoded(place: Place, line: bytes, encodings: tuple[str, ...]) -> str:
    for encoding in encodings:
        with suppress(UnicodeDecodeError):
            return line.decode(encoding).rstrip("\r\n")
    raise place.error("is not UTF-8 text; convert the file to UTF-8")
