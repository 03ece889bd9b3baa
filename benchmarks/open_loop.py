"""Requests at random times, from a client that costs little: `python open_loop.py ADDRESS RATE SECONDS SEED`.

A gRPC library takes two or three times as long for a call as the server, which then waits for its client. This one
sends what was encoded beforehand over connections of its own (`tests/integration/raw_connection.py`). Latency counts
from when a request was due, so that one that is sent late counts as slow. Prints one line of JSON.
"""

import json
import random
import select
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integration.raw_connection import RawConnection, headers_of, message, messages_of
from rankserve.v1 import ranking_pb2

_CANDIDATES = 100
_USERS = 943
_ITEMS = 1_682
_CONNECTIONS = 4
_REQUESTS = 1_000
_WARM_UP_SECONDS = 1.0
_LAST_ANSWERS_SECONDS = 10.0


class OpenLoop:
    """One run. Times are in seconds from its start."""

    def __init__(self, address: str, rate: float, seconds: float, seed: int) -> None:
        chance = random.Random(seed)
        self._due = _arrivals(chance, rate, _WARM_UP_SECONDS + seconds)
        self._requests = [_request(chance) for _ in range(_REQUESTS)]
        self._bodies = [message(request.SerializeToString()) for request in self._requests]
        self._headers = headers_of("Rank", "30S")
        self._connections = [RawConnection(address) for _ in range(_CONNECTIONS)]
        self._waiting: list[dict[int, int]] = [{} for _ in self._connections]
        self._sent = 0
        self.late: list[float] = []
        self.latencies: list[float] = []

    def run(self) -> None:
        """Sends everything and waits for all answers."""
        self._start = time.perf_counter()
        while self._sent < len(self._due) or any(self._waiting):
            self._send_what_is_due()
            self._take_answers()

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _send_what_is_due(self) -> None:
        now = self._now()
        while self._sent < len(self._due) and self._due[self._sent] <= now:
            number = self._sent
            place = number % _CONNECTIONS
            stream = self._connections[place].call(self._headers, self._bodies[number % _REQUESTS])
            self._waiting[place][stream] = number
            if self._due[number] > _WARM_UP_SECONDS:
                self.late.append(now - self._due[number])
            self._sent += 1
        for connection in self._connections:
            connection.flush()

    def _take_answers(self) -> None:
        left = self._due[self._sent] - self._now() if self._sent < len(self._due) else _LAST_ANSWERS_SECONDS
        ready, _, _ = select.select([connection.socket for connection in self._connections], [], [], max(0.0, left))
        if not ready and self._sent == len(self._due):
            raise TimeoutError("answers do not come")
        for place, connection in enumerate(self._connections):
            if connection.socket in ready:
                over = connection.receive()
                now = self._now()
                for stream, answer in over:
                    self._check(self._waiting[place].pop(stream), answer.status, answer.body, now)

    def _check(self, number: int, status: int, body: bytes, now: float) -> None:
        if status:
            raise RuntimeError(f"a call ended with status {status}")
        # To look at every answer would make the client slow; `correctness` does.
        if number % 100 == 0:
            response = ranking_pb2.RankResponse.FromString(messages_of(body)[0])
            falling = list(response.scores) == sorted(response.scores, reverse=True)
            asked = self._requests[number % _REQUESTS].candidate_ids
            if not falling or sorted(response.item_ids) != sorted(asked):
                raise RuntimeError("an answer is wrong")
        if self._due[number] > _WARM_UP_SECONDS:
            self.latencies.append(now - self._due[number])


def _arrivals(chance: random.Random, rate: float, seconds: float) -> list[float]:
    """When requests are due: a Poisson process."""
    due = [chance.expovariate(rate)]
    while due[-1] < seconds:
        due.append(due[-1] + chance.expovariate(rate))
    return due


def _request(chance: random.Random) -> ranking_pb2.RankRequest:
    return ranking_pb2.RankRequest(
        user_id=chance.randint(1, _USERS), candidate_ids=chance.sample(range(1, _ITEMS + 1), _CANDIDATES)
    )


def main(address: str, rate: float, seconds: float, seed: int) -> None:
    """Runs once and prints what was measured, in milliseconds."""
    loop = OpenLoop(address, rate, seconds, seed)
    loop.run()
    late, latencies = sorted(loop.late), sorted(loop.latencies)
    shares = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999}
    figures = {name: latencies[int(share * len(latencies))] * 1e3 for name, share in shares.items()}
    print(json.dumps({"requests": len(latencies), "late_p99": late[int(0.99 * len(late))] * 1e3, **figures}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
