"""A lock that processes on one machine share."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock, and holds it for the block.

    The kernel drops it when the process ends, however it ends, so a killed process leaves nothing to clean up; the file
    itself stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
