"""How long each step of loading a version takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One step. Times are of `time.time_ns`, so that two processes of a machine can put theirs together.

    Attributes:
        name: such as `compile`.
        started: when it began.
        ended: when it was over, well or not.
    """

    name: str
    started: int
    ended: int


class LoadSteps:
    """The steps of a load.

    Attributes:
        done: those that are over.
    """

    def __init__(self) -> None:
        self.done: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Notes what is done while this is open."""
        started = time.time_ns()
        try:
            yield
        finally:
            self.done.append(Step(name, started, time.time_ns()))

    def clear(self) -> None:
        """Before another load."""
        self.done.clear()
