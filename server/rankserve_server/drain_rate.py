"""How fast the queue empties: measured, so that whoever would wait too long can be told at once."""

# A request by itself costs the server as much as so many of its candidates: it is read, planned, encoded and sent.
# Measured with 1 to 2,000 candidates: 200 on the direct transport, 500 on asyncio's.
_REQUEST_WORK = 300
# To refuse one without reading it.
REFUSAL_WORK = 200
# What a batch still counts for when the next one is measured: the last 50 or so decide, some 100 ms under load.
_KEPT = 0.98
# One batch that took even longer than so many times what was expected was held up: by itself it says no more.
_MOST_SLOWER = 4.0
_FIRST_GUESS = 1_000_000.0  # work a second, until something was measured
_GUESS_SECONDS = 0.01
_GUESSED_CANDIDATES = 100


def work_of(candidates: int, requests: int) -> int:
    """What these cost, in candidates."""
    return candidates + _REQUEST_WORK * requests


class DrainRate:
    """The rate of the last batches: their work through their time, so that long ones count for more."""

    def __init__(self) -> None:
        self._work = _FIRST_GUESS * _GUESS_SECONDS
        self._seconds = _GUESS_SECONDS
        self._requests = self._work / work_of(_GUESSED_CANDIDATES, 1)
        # Without a guess: whether a request fits is not to depend on one.
        self._candidates = 0.0
        self._measured_requests = 1.0

    def measured(self, candidates: int, requests: int, seconds: float) -> None:
        """Notes that so much took so long, whatever else was done meanwhile."""
        work = work_of(candidates, requests)
        seconds = min(seconds, _MOST_SLOWER * self.seconds_for(work))
        self._work = _KEPT * self._work + work
        self._requests = _KEPT * self._requests + requests
        self._seconds = _KEPT * self._seconds + seconds
        self._candidates = _KEPT * self._candidates + candidates
        self._measured_requests = _KEPT * self._measured_requests + requests

    def seconds_for(self, work: float) -> float:
        """How long so much work will take."""
        return work * self._seconds / self._work

    def requests_in(self, seconds: float) -> float:
        """How many of those that were measured it can do in so long."""
        return seconds * self._requests / self._seconds

    def usual_work(self, requests: int) -> float:
        """The work of so many requests of which nothing else is known."""
        return requests * self._work / self._requests if self._requests else 0.0

    def usual_candidates(self, requests: int) -> int:
        """Their candidates: one each, until something was measured."""
        return max(requests, round(requests * self._candidates / self._measured_requests))
