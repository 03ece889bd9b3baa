"""An engine that scores by a formula, waits and fails on demand, and remembers what it was asked."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from rankserve_server.engine.engine import Engine, PendingScores, Rows, Scores

_LONGEST_WAIT = 30.0


def fake_score(user: int, item: int) -> float:
    """From 1 to 4.984375 in steps that float32 holds exactly; many items share a score."""
    return 1 + (user * 37 + item * 11) % 256 / 64


class FakeEngine(Engine):
    """Stands in for a compiled model.

    Attributes:
        batches: the pairs of each batch that was started, in order; a catalogue slice is a batch of its pairs.
        poisoned: user rows that cannot be scored.
        pause: seconds that each batch takes.
    """

    def __init__(self, item_count: int = 1_000) -> None:
        self.item_count = item_count
        self.batches: list[list[tuple[int, int]]] = []
        self.poisoned: set[int] = set()
        self.pause = 0.0
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._busy = threading.Event()

    def start(self, users: Rows, items: Rows) -> PendingScores:
        assert 1 <= len(users) == len(items) <= self.slice_rows
        pairs = list(zip(users.tolist(), items.tolist(), strict=True))
        self.batches.append(pairs)
        return _FakePendingScores(self, pairs)

    def start_catalog(self, user: int, start: int, stop: int) -> PendingScores:
        assert start % self.slice_rows == 0
        assert start < stop <= min(start + self.slice_rows, self.item_count)
        return self.start(np.full(stop - start, user, np.int32), np.arange(start + 1, stop + 1, dtype=np.int32))

    def compute(self, pairs: list[tuple[int, int]]) -> Scores:
        self._busy.set()
        assert self._may_go_on.wait(_LONGEST_WAIT)
        self._busy.clear()
        time.sleep(self.pause)
        for user, _ in pairs:
            if user in self.poisoned:
                raise FloatingPointError(f"user row {user} cannot be scored")
        return np.array([fake_score(user, item) for user, item in pairs], np.float32)

    @property
    def scored_users(self) -> list[int]:
        """The user rows that it was asked for, each once for every batch that it is in, in order."""
        return [user for batch in self.batches for user in dict.fromkeys(user for user, _ in batch)]

    @contextmanager
    def held(self) -> Iterator[None]:
        """While this is open, no batch is finished."""
        self._may_go_on.clear()
        try:
            yield
        finally:
            self._may_go_on.set()

    def wait_for_batches(self, count: int) -> None:
        """Waits until so many batches have been started."""
        _wait_until(lambda: len(self.batches) >= count)

    def wait_for_users(self, rows: set[int]) -> None:
        """Waits until each of these user rows was in a batch."""
        _wait_until(lambda: rows <= set(self.scored_users))

    def wait_until_busy(self) -> None:
        """Waits until somebody waits for a batch, while `held`."""
        assert self._busy.wait(_LONGEST_WAIT), "nothing was scored"


class _FakePendingScores(PendingScores):
    """Scores that are made when they are asked for."""

    def __init__(self, engine: FakeEngine, pairs: list[tuple[int, int]]) -> None:
        self.rows = len(pairs)
        self._engine = engine
        self._pairs = pairs

    def result(self) -> Scores:
        return self._engine.compute(self._pairs)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
