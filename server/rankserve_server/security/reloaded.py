"""Files that are read again when they change."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)

_Content = TypeVar("_Content")
_Stamp = tuple[tuple[int, int, int] | None, ...]


class FileError(Exception):
    """A file cannot be used. The message names it and says why."""


class Reloaded(Generic[_Content]):
    """What some files hold. It can be shared between threads.

    A change that cannot be used, such as a file that is half written, leaves what was there before, and is logged once.

    Attributes:
        content: what they held when they were last good.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[], _Content]) -> None:
        """Reads them.

        Args:
            paths: the files.
            read: returns what they hold, or raises a FileError.

        Raises:
            FileError: where they cannot be used.
        """
        self._paths = paths
        self._read = read
        self._lock = threading.Lock()
        # Taken before they are read: what changes meanwhile then counts as a change.
        self._stamp = self._now()
        self.content = read()

    def refresh(self) -> bool:
        """Reads the files again where one of them has changed; whether that gave new content."""
        if self._now() == self._stamp or not self._lock.acquire(blocking=False):  # another thread is at it
            return False
        try:
            self._stamp = self._now()
            self.content = self._read()
        except FileError as error:
            _log.error("What was read before stays in use: %s.", error)
            return False
        finally:
            self._lock.release()
        _log.info("Read again: %s.", ", ".join(map(str, self._paths)))
        return True

    def _now(self) -> _Stamp:
        return tuple(map(_stamp_of, self._paths))


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileError: where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
