"""Load from a client that costs little: `python -m reliability.load_generator ADDRESS KIND AMOUNT SECONDS CANDIDATES`.

KIND is `closed`: AMOUNT calls are in flight at any time; or `open`: AMOUNT calls a second come at random times
(Poisson), whatever becomes of those before them. CANDIDATES is 0 for the whole catalogue. Prints one line of JSON: see
`Outcome`.
"""

import json
import random
import select
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Final

from integration.raw_connection import Answer, RawConnection, headers_of, message
from rankserve.v1 import ranking_pb2

DEADLINE_SECONDS: Final = 1.0

# One takes a thousand calls at a time, and this client does not wait for its turn as others do: calls beyond are reset.
_CONNECTIONS = 8
_BODIES = 200
_USERS = 943
_ITEMS = 1_682
_TOP_K = 100
_LAST_ANSWERS_SECONDS = 10.0
_OK = 0


@dataclass(frozen=True)
class Outcome:
    """What has become of the calls of one run.

    Attributes:
        seconds: how long calls were made.
        calls: how many.
        in_time: how many were answered, and before their deadline. Time counts from when a call was due.
        statuses: how many ended with each status, by its number as text; -1 is one that was only reset.
        p50_ms: time of an answered call.
        p99_ms: likewise.
        refused_p99_ms: time of a refused call; 0 where there was none.
    """

    seconds: float
    calls: int
    in_time: int
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    refused_p99_ms: float

    @property
    def goodput(self) -> float:
        """Answers in time, each second."""
        return self.in_time / self.seconds


class LoadGenerator:
    """One run. Times are in seconds from its start."""

    def __init__(self, address: str, candidates: int, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._bodies = [self._body(candidates) for _ in range(_BODIES)]
        self._headers = headers_of("Rank", f"{round(DEADLINE_SECONDS * 1000)}m")
        self._connections = [RawConnection(address) for _ in range(_CONNECTIONS)]
        # Of each call by its stream: when it was due, and the number of its body.
        self._waiting: list[dict[int, tuple[float, int]]] = [{} for _ in self._connections]
        self._sent = 0
        self._statuses: Counter[int] = Counter()
        self._answered: list[float] = []
        self._answered_due: list[float] = []
        self._refused: list[float] = []
        self._refused_due: list[float] = []
        self._start = time.perf_counter()

    def run_closed(self, in_flight: int, seconds: float) -> Outcome:
        """Keeps so many calls in flight."""
        self._start = time.perf_counter()
        while (now := self._now()) < seconds:
            while sum(map(len, self._waiting)) < in_flight:
                self._call(now)
            self._receive(1.0)
        return self._outcome(seconds)

    def run_open(self, rate: float, seconds: float) -> Outcome:
        """Makes so many calls a second."""
        self._start = time.perf_counter()
        due = self._chance.expovariate(rate)
        while due < seconds:
            while due <= self._now() and due < seconds:
                self._call(due)
                due += self._chance.expovariate(rate)
            self._receive(max(0.0, due - self._now()))
        return self._outcome(seconds)

    def ended(self, number: int, answer: Answer) -> None:
        """Called with the answer to a call and the number of its body; for those who want to see more of it."""

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _call(self, due: float) -> None:
        place = self._sent % _CONNECTIONS
        number = self._sent % len(self._bodies)
        stream = self._connections[place].call(self._headers, self._bodies[number])
        self._waiting[place][stream] = due, number
        self._sent += 1

    def _receive(self, wait: float) -> bool:
        for connection in self._connections:
            connection.flush()
        ready, _, _ = select.select([connection.socket for connection in self._connections], [], [], wait)
        for place, connection in enumerate(self._connections):
            if connection.socket in ready:
                over = connection.receive()
                now = self._now()
                for stream, answer in over:
                    due, number = self._waiting[place].pop(stream)
                    self.ended(number, answer)
                    took = now - due
                    self._statuses[answer.status] += 1
                    if answer.status == _OK:
                        self._answered.append(took)
                        self._answered_due.append(due)
                    else:
                        self._refused.append(took)
                        self._refused_due.append(due)
        return bool(ready)

    def _outcome(self, seconds: float) -> Outcome:
        while any(self._waiting):
            if not self._receive(_LAST_ANSWERS_SECONDS):
                raise TimeoutError(f"{sum(map(len, self._waiting))} calls are never ended")
        return Outcome(
            seconds=seconds,
            calls=self._sent,
            in_time=sum(took <= DEADLINE_SECONDS for took in self._answered),
            statuses={str(status): count for status, count in self._statuses.items()},
            p50_ms=_quantile_ms(self._answered, 0.5),
            p99_ms=_quantile_ms(self._answered, 0.99),
            refused_p99_ms=_quantile_ms(self._refused, 0.99),
        )

    def _body(self, candidates: int) -> bytes:
        request = ranking_pb2.RankRequest(user_id=self._chance.randint(1, _USERS), top_k=_TOP_K)
        request.candidate_ids.extend(self._chance.choices(range(1, _ITEMS + 1), k=candidates))
        return message(request.SerializeToString())


def _quantile_ms(seconds: list[float], share: float) -> float:
    return sorted(seconds)[int(share * len(seconds))] * 1e3 if seconds else 0.0


def main(address: str, kind: str, amount: float, seconds: float, candidates: int) -> None:
    generator = LoadGenerator(address, candidates)
    closed = kind == "closed"
    outcome = generator.run_closed(int(amount), seconds) if closed else generator.run_open(amount, seconds)
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
