"""What is noted of a version that is loaded, until its spans are made. Times are of `time.time_ns`."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rankserve_server.load_steps import LoadSteps, Step
from rankserve_training.artifact import ArtifactError

if TYPE_CHECKING:
    from rankserve_server.loaded_model import LoadedModel
    from rankserve_server.versions.model_versions import Load


class LoadTrace(NamedTuple):
    """A load.

    Attributes:
        model: its name.
        version: such as `7`; the name of its directory.
        outcome: `loaded`, or the fault of an `ArtifactError`.
        error: what was wrong; "" for nothing.
        started: when it began.
        ended: when it was over.
        steps: what was done meanwhile.
    """

    model: str
    version: str
    outcome: str
    error: str
    started: int
    ended: int
    steps: list[Step]


class SwapTrace(NamedTuple):
    """The step in which requests go to another version."""

    model: str
    version: str
    started: int
    ended: int


def traced(load: "Load", steps: LoadSteps, tell: Callable[[LoadTrace], None]) -> "Load":
    """The same way to load, which tells of every load. `steps` is where it notes its own; loads are one at a time."""

    def told(directory: Path, beside_serving: bool) -> "LoadedModel":
        steps.clear()
        started = time.time_ns()
        outcome, problem = "loaded", ""
        try:
            return load(directory, beside_serving)
        except ArtifactError as error:
            outcome, problem = error.fault or "failed", str(error)
            raise
        finally:
            tell(
                LoadTrace(
                    directory.parent.name, directory.name, outcome, problem, started, time.time_ns(), list(steps.done)
                )
            )

    return told


@contextmanager
def swap_traced(model: str, version: str, tell: Callable[[SwapTrace], None]) -> Iterator[None]:
    """Tells of what is done while this is open."""
    started = time.time_ns()
    yield
    tell(SwapTrace(model, version, started, time.time_ns()))
