"""The wall clock of another process, which can be moved while it runs: by libfaketime, loaded before its libraries.

The monotonic clock goes on as it is, as it does where an operator or a time server sets the clock.
"""

import os
import platform
from importlib.util import find_spec
from pathlib import Path

import pytest


class WallClock:
    """The clock of whoever is started with `env`."""

    def __init__(self, path: Path) -> None:
        """At first it is right.

        Args:
            path: of a file that says how far off it is.
        """
        self._path = path
        self._library = _library()
        self.set("+0")

    def set(self, offset: str) -> None:
        """Moves it, to so much before or after the true time, such as `-6h`."""
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{offset}\n")
        beside.rename(self._path)

    def env(self) -> dict[str, str]:
        """The environment of a process with this clock."""
        return dict(os.environ) | {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def _library() -> Path:
    # Not imported: it would look at the clock of this process.
    spec = find_spec("libfaketime")
    if spec is None or spec.origin is None:
        pytest.skip(f"no libfaketime for {platform.machine()}")
    return Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
