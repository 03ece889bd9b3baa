"""A client that costs little, for loads whose latencies are looked at.

A gRPC library takes two or three times as long for a call as the server, which then waits for its client. This one
sends what was encoded beforehand over connections of its own (`tests/integration/raw_connection.py`).
"""

import random
import select
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from integration.raw_connection import Answer, RawConnection, headers_of, message, messages_of
from rankserve.v1 import ranking_pb2

_USERS = 943
_ITEMS = 1_682
_CONNECTIONS = 4
_REQUESTS = 1_000


class RawCaller:
    """Calls Rank with candidates of random users, many calls at a time. Times are in seconds since it was made."""

    def __init__(self, address: str, chance: random.Random, candidates: int) -> None:
        self._requests = [_request(chance, candidates) for _ in range(_REQUESTS)]
        self._bodies = [message(request.SerializeToString()) for request in self._requests]
        self._headers = headers_of("Rank", "30S")
        self._connections = [RawConnection(address) for _ in range(_CONNECTIONS)]
        self._waiting: list[dict[int, int]] = [{} for _ in self._connections]
        self.flush()  # the greeting comes first, also where the server's is answered before anything is sent
        self._start = time.perf_counter()

    def now(self) -> float:
        """The time."""
        return time.perf_counter() - self._start

    @property
    def is_waiting(self) -> bool:
        """Whether something has no answer yet."""
        return any(self._waiting)

    def send(self, number: int) -> None:
        """Queues the request of this number; `flush` sends it."""
        place = number % _CONNECTIONS
        stream = self._connections[place].call(self._headers, self._bodies[number % _REQUESTS])
        self._waiting[place][stream] = number

    def flush(self) -> None:
        """Sends what is queued."""
        for connection in self._connections:
            connection.flush()

    def answered(self, seconds: float) -> list[tuple[int, float]]:
        """Waits so long at most for answers; the numbers of those that have come, and when.

        Raises:
            RuntimeError: where one of them is an error or wrong.
        """
        sockets = [connection.socket for connection in self._connections]
        ready, _, _ = select.select(sockets, [], [], max(0.0, seconds))
        found = []
        for place, connection in enumerate(self._connections):
            if connection.socket in ready:
                over = connection.receive()
                now = self.now()
                for stream, answer in over:
                    number = self._waiting[place].pop(stream)
                    self._check(number, answer)
                    found.append((number, now))
        return found

    def _check(self, number: int, answer: Answer) -> None:
        if answer.status:
            raise RuntimeError(f"a call ended with status {answer.status}")
        # To look at every answer would make the client slow; `correctness` does.
        if number % 100 == 0:
            response = ranking_pb2.RankResponse.FromString(messages_of(answer.body)[0])
            falling = list(response.scores) == sorted(response.scores, reverse=True)
            asked = self._requests[number % _REQUESTS].candidate_ids
            if not falling or sorted(response.item_ids) != sorted(asked):
                raise RuntimeError("an answer is wrong")


def _request(chance: random.Random, candidates: int) -> ranking_pb2.RankRequest:
    return ranking_pb2.RankRequest(
        user_id=chance.randint(1, _USERS), candidate_ids=chance.sample(range(1, _ITEMS + 1), candidates)
    )
