"""Callers that use the client of the project, as an application would, and count what they see."""

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from rankserve_client import RankingClient, RankServeError, RetryPolicy

CANDIDATES = list(range(1, 201))
TIMEOUT = 10.0


class Callers:
    """Call without a pause, each over a client of its own, until they are told to stop.

    Attributes:
        answered: calls with the right answer.
        failed: the others, by what was said.
    """

    def __init__(self, target: str | Sequence[str], callers: int) -> None:
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self._target = target
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(callers)
        self._callers = [self._pool.submit(self._call) for _ in range(callers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Lets each end its last call."""
        self._ended.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def _call(self) -> None:
        with RankingClient(self._target, timeout=TIMEOUT, retry=RetryPolicy(attempts=5)) as client:
            while not self._ended.is_set():
                try:
                    ranking = client.rank(42, CANDIDATES)
                except RankServeError as error:
                    with self._lock:
                        self.failed[f"{type(error).__name__}: {error}"] += 1
                    continue
                assert sorted(ranking.item_ids) == CANDIDATES
                with self._lock:
                    self.answered += 1
