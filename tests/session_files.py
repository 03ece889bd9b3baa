"""Where tests keep what they share in a session, whichever of pytest-xdist's workers runs them."""

import os
from pathlib import Path
from typing import Final

_VARIABLE: Final = "TESTS_SHARED_DIR"


def share_in(directory: Path) -> None:
    """Says it to this process and those that it starts."""
    os.environ[_VARIABLE] = str(directory)


def shared_dir() -> Path:
    """The directory."""
    return Path(os.environ[_VARIABLE])
