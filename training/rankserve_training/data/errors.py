"""What is raised when the data cannot be had or cannot be used."""

from pathlib import Path
from typing import NamedTuple


class DataError(ValueError):
    """The data is missing, broken or unusable. The message is one line, made to be shown to the user as it is."""


class Place(NamedTuple):
    """A line of a file; lines are numbered from 1."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"

    def error(self, reason: str) -> DataError:
        """An error that names this place, such as `ratings.csv:17: rating 'abc' is not a number`."""
        return DataError(f"{self}: {reason}")
