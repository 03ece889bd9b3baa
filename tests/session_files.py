"""Where tests keep what they share in a session, whichever of pytest-xdist's workers runs them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from filelock import FileLock

_VARIABLE: Final = "TESTS_SHARED_DIR"


def share_in(directory: Path) -> None:
    """Says it to this process and those that it starts."""
    os.environ[_VARIABLE] = str(directory)


def shared_dir() -> Path:
    """The directory."""
    return Path(os.environ[_VARIABLE])


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The directory of a name, with what `make` puts there: where it is not there yet; others wait meanwhile."""
    place, made = shared_dir() / name, shared_dir() / f"{name}.made"
    shared_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not made.exists():
            place.mkdir(exist_ok=True)
            make(place)
            made.touch()
    return place
