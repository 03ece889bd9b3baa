"""A file that lines are added to, for as long as the server runs."""

import errno
import fcntl
import logging
import os
import select
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
_MIB = 1024 * 1024
# Of the thread that tells of calls, with a reader who does not read.
_PATIENCE_SECONDS = 1.0


class LineFile:
    """Adds lines to a file. One that was renamed or removed is opened anew, so that it can be rotated from outside.

    Several processes may add to the same file: each adds whole lines, all that it has at once.
    """

    def __init__(self, path: Path, mode: int, max_mib: int | None = None) -> None:
        """Opens it.

        Args:
            path: of the file; it is made where there is none.
            mode: what others may do with it then.
            max_mib: a larger one is put aside as PATH.1, in place of the one before; None for any size.

        Raises:
            OSError: where it cannot be opened.
        """
        self._path = path
        self._mode = mode
        self._most_bytes = None if max_mib is None else max_mib * _MIB
        self._said = ""
        self._descriptor = self._opened()

    def add(self, lines: bytes) -> bool:
        """Adds whole lines; False where that is not possible, which is said once."""
        try:
            if not self._is_there():
                self._reopen()
            if self._most_bytes is not None and os.fstat(self._descriptor).st_size >= self._most_bytes:
                self._put_aside()
            _write(self._descriptor, lines)
        except OSError as error:
            if self._said != str(error):
                _log.error("Nothing can be added to %s: %s.", self._path, error.strerror)
            self._said = str(error)
            return False
        self._said = ""
        return True

    def close(self) -> None:
        """Closes it."""
        os.close(self._descriptor)

    def _opened(self) -> int:
        descriptor = os.open(self._path, _FLAGS, self._mode)
        # A process that was killed while it wrote leaves half of a line: the next one must not be added to that.
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
        return descriptor

    def _is_there(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino) or not stat.S_ISREG(ours.st_mode)

    def _reopen(self) -> None:
        before, self._descriptor = self._descriptor, self._opened()
        os.close(before)

    def _put_aside(self) -> None:
        """Whoever of several processes comes first does it, and the others find another file there."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            if self._is_there():
                self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        finally:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._reopen()


class LineStream:
    """Adds lines to a file descriptor that somebody else has opened, such as stdout."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def add(self, lines: bytes) -> bool:
        """As above; it is said nowhere, as nobody reads any more."""
        try:
            _write(self._descriptor, lines)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """It is not ours to close."""


def _write(descriptor: int, lines: bytes) -> None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        while lines:
            lines = lines[os.write(descriptor, lines) :]
        return
    for part in _parts(lines):
        # So much fits wherever there is any room: the write does not wait for a reader who sleeps.
        if not select.select([], [descriptor], [], _PATIENCE_SECONDS)[1]:
            raise BlockingIOError(errno.EAGAIN, "its reader does not keep up")
        os.write(descriptor, part)


def _parts(lines: bytes) -> Iterator[bytes]:
    """What a pipe takes at once: as many whole lines as that are, or a part of a longer one."""
    while lines:
        end = lines.rfind(b"\n", 0, select.PIPE_BUF) + 1 or select.PIPE_BUF
        yield lines[:end]
        lines = lines[end:]
