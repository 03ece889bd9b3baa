"""The order of events."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Clock:
    """Calls what is due, in the order of time; of two at the same time, the one that was asked for first.

    Attributes:
        now: seconds since the beginning.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = itertools.count()

    def at(self, time: float, call: Callable[..., None], *arguments: Any) -> None:
        """Has it called then."""
        heapq.heappush(self._due, (time, next(self._numbers), call, arguments))

    def run(self, seconds: float) -> None:
        """Goes on to this time."""
        while self._due and self._due[0][0] <= seconds:
            self.now, _, call, arguments = heapq.heappop(self._due)
            call(*arguments)
        self.now = seconds
