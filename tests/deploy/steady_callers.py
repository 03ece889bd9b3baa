"""Callers that repeat nothing themselves and check every answer: what they see is what Envoy makes of it."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from rankserve_client import RankingClient, RankQuery, RankServeError

TIMEOUT = 10.0
_PAUSE = 0.008

Answer = tuple[tuple[int, ...], tuple[float, ...]]


class SteadyCallers:
    """Call some hundred times a second, each over a client of its own, within their `with`.

    Attributes:
        answered: calls with the right answer, to the bit.
        failed: the others, by what was said.
    """

    def __init__(self, target: str, callers: int, queries: Sequence[RankQuery], answers: Sequence[Answer]) -> None:
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self._longest = 0.0
        self._target = target
        self._expected = list(zip(queries, answers, strict=True))
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(callers)
        self._callers = [self._pool.submit(self._call, number) for number in range(callers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Lets each end its last call."""
        self._ended.set()
        self._pool.shutdown()
        for caller in self._callers:
            caller.result()

    def take_longest(self) -> float:
        """The seconds of the longest call since this was asked for."""
        with self._lock:
            longest, self._longest = self._longest, 0.0
        return longest

    def _call(self, number: int) -> None:
        with RankingClient(self._target, timeout=TIMEOUT, retry=None) as client:
            while not self._ended.wait(_PAUSE):
                number = (number + 1) % len(self._expected)
                query, expected = self._expected[number]
                self._count(client, query, expected)

    def _count(self, client: RankingClient, query: RankQuery, expected: Answer) -> None:
        started = time.monotonic()
        wrong = ""
        try:
            if answer_of(client, query) != expected:
                wrong = f"another answer to {query}"
        except RankServeError as error:
            wrong = f"{type(error).__name__}: {error}"
        with self._lock:
            self._longest = max(self._longest, time.monotonic() - started)
            if wrong:
                self.failed[wrong] += 1
            else:
                self.answered += 1


def answer_of(client: RankingClient, query: RankQuery) -> Answer:
    """Items and scores."""
    ranking = client.rank(query.user_id, query.candidates)
    return tuple(ranking.item_ids), tuple(ranking.scores)
