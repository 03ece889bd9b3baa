"""A client that makes many calls: `python -m integration.load_client ADDRESS ANSWERS CALLS IN_FLIGHT SEED`.

ANSWERS is a file that `write_answers` has written: some hundred requests were answered alone, and what is in the
answers was looked at. Here each answer to the same request has to be the same, byte for byte, in whatever company.
Prints a line when it begins and, as JSON, what it has seen; may be killed.
"""

import json
import random
import sys
from pathlib import Path
from typing import Final, NamedTuple

from integration.raw_connection import Answer, RawConnection, headers_of, message, messages_of
from rankserve.v1 import ranking_pb2

# The line that it prints when it begins.
CALLING: Final = "calling"

_REQUESTS = 300
# Most lists are short, so that calls and not candidates are what the server is busy with.
_LARGE = (2_000, 2_000, 10_000)
_SHORT = range(1, 21)
_PARTS = 3
_OK, _CANCELLED, _RESOURCE_EXHAUSTED, _ONLY_RESET = 0, 1, 8, -1
# The core itself turns calls away that nobody has looked at, where there are too many of them.
_NO_ROOM = {_RESOURCE_EXHAUSTED, _CANCELLED, _ONLY_RESET}
_TIMEOUT = "60S"


class Call(NamedTuple):
    """One of the requests, and what the ids of each of its answers have to be, in any order."""

    method: str
    headers: bytes
    body: bytes
    candidates: list[list[int]]


class LoadClient:
    """Keeps a number of calls in flight until all are answered.

    Attributes:
        answers: how many were right.
        refused: how many calls the server had no room for; they are made again.
    """

    def __init__(self, address: str, answers: Path, in_flight: int, seed: int) -> None:
        self._address = address
        self._in_flight = in_flight
        self._random = random.Random(seed)
        self._calls = requests()
        self._alone = [bytes.fromhex(answer) for answer in json.loads(answers.read_text(encoding="utf-8"))]
        self.answers = 0
        self.refused = 0

    def run(self, calls: int) -> None:
        """Opens a connection for some thousand calls, and another one.

        Raises:
            ValueError: where an answer is wrong.
        """
        until = 0
        while until < calls:
            until = min(calls, until + self._random.randrange(1_000, 5_000))
            with RawConnection(self._address) as connection:
                self._call_until(until, connection)

    def _call_until(self, answers: int, connection: RawConnection) -> None:
        numbers: dict[int, int] = {}
        while self.answers < answers:
            while len(numbers) < min(self._in_flight, answers - self.answers):
                number = self._random.randrange(len(self._calls))
                call = self._calls[number]
                numbers[connection.call(call.headers, call.body)] = number
            connection.flush()
            for stream, answer in connection.receive():
                self._check(numbers.pop(stream), answer)

    def _check(self, number: int, answer: Answer) -> None:
        method = self._calls[number].method
        if answer.status in _NO_ROOM:
            self.refused += 1
        elif answer.status != _OK:
            raise ValueError(f"{method} has ended with status {answer.status}")
        elif answer.body == self._alone[number]:
            self.answers += 1
        elif method == "RankStream" and _has_a_refusal(answer.body):
            self.refused += 1
        else:
            raise ValueError(f"{method} has another answer than before")


def write_answers(address: str, answers: Path) -> None:
    """Asks an idle server for each answer.

    Raises:
        ValueError: where one is wrong.
    """
    with RawConnection(address) as connection:
        alone = [_ask_alone(connection, call) for call in requests()]
    answers.write_text(json.dumps([answer.hex() for answer in alone]), encoding="utf-8")


def requests() -> list[Call]:
    """The same in each process; some users and items are unknown."""
    chosen = random.Random(1)
    counts = [*_LARGE, *chosen.choices(_SHORT, k=_REQUESTS - len(_LARGE))]
    return [_call(chosen, count) for count in counts]


def _call(chosen: random.Random, count: int) -> Call:
    method = chosen.choices(["Rank", "BatchRank", "RankStream"], weights=[90, 5, 5])[0]
    parts = [
        ranking_pb2.RankRequest(
            user_id=chosen.randrange(1_000), candidate_ids=[chosen.randrange(1, 1_700) for _ in range(count)]
        )
        for _ in range(1 if method == "Rank" else _PARTS)
    ]
    if method == "BatchRank":
        body = message(ranking_pb2.BatchRankRequest(requests=parts).SerializeToString())
    else:
        body = b"".join(message(part.SerializeToString()) for part in parts)
    return Call(method, headers_of(method, _TIMEOUT), body, [list(part.candidate_ids) for part in parts])


def _ask_alone(connection: RawConnection, call: Call) -> bytes:
    connection.call(call.headers, call.body)
    over: list[tuple[int, Answer]] = []
    while not over:
        connection.flush()
        over = connection.receive()
    ((_, answer),) = over
    if answer.status != _OK:
        raise ValueError(f"{call.method} has ended with status {answer.status}")
    _check_content(call, answer.body)
    return answer.body


def _check_content(call: Call, body: bytes) -> None:
    if call.method == "BatchRank":
        responses = list(ranking_pb2.BatchRankResponse.FromString(messages_of(body)[0]).responses)
    else:
        responses = [ranking_pb2.RankResponse.FromString(content) for content in messages_of(body)]
    for response, candidates in zip(responses, call.candidates, strict=True):
        if sorted(response.item_ids) != sorted(candidates):
            raise ValueError(f"{call.method} has the answer to another request")
        if list(response.scores) != sorted(response.scores, reverse=True):
            raise ValueError(f"{call.method} has an answer that is not in order")


def _has_a_refusal(body: bytes) -> bool:
    """Whether there was no room for one of the requests of a stream."""
    responses = [ranking_pb2.RankResponse.FromString(content) for content in messages_of(body)]
    return any(response.error.code == _RESOURCE_EXHAUSTED for response in responses)


def main(address: str, answers: Path, calls: int, in_flight: int, seed: int) -> None:
    client = LoadClient(address, answers, in_flight, seed)
    print(CALLING, flush=True)
    client.run(calls)
    print(json.dumps({"answers": client.answers, "refused": client.refused}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
