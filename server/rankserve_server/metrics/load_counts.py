"""Versions that were loaded, or could not be, and what was compiled for it."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_server.metrics.distribution import Distribution
from rankserve_training.artifact import ArtifactError

if TYPE_CHECKING:
    from rankserve_server.loaded_model import LoadedModel
    from rankserve_server.versions.model_versions import Load

_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_LOADED = "loaded"


class LoadCounts:
    """Of one process. Loads are rare: a lock guards them.

    Attributes:
        compiled: programs that were compiled.
        reused: programs that were found compiled.
    """

    def __init__(self) -> None:
        self.compiled = 0
        self.reused = 0
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], Distribution] = {}

    def timed(self, load: "Load") -> "Load":
        """The same way to load, counted."""

        def counted(directory: Path, beside_serving: bool) -> "LoadedModel":
            started = time.monotonic()
            try:
                model = load(directory, beside_serving)
            except ArtifactError as error:
                self._add(directory.parent.name, error.fault, time.monotonic() - started)
                raise
            self._add(directory.parent.name, _LOADED, time.monotonic() - started)
            return model

        return counted

    def seconds(self) -> dict[tuple[str, str], Distribution]:
        """How long loads took, by model and outcome: `loaded`, or the fault of an `ArtifactError`."""
        with self._lock:
            return dict(self._seconds)

    def add_programs(self, compiled: int, reused: int) -> None:
        """Counts what one load needed."""
        with self._lock:
            self.compiled += compiled
            self.reused += reused

    def _add(self, name: str, outcome: str, seconds: float) -> None:
        with self._lock:
            self._seconds.setdefault((name, outcome), Distribution(_SECONDS)).add(seconds)
