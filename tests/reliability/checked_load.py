"""Load whose answers are kept to be checked: `python -m reliability.checked_load ADDRESS RATE REQUESTS ANSWERS`.

RATE calls a second come at random times (Poisson) until stdin is closed; 0 is as many as 64 in flight allow. REQUESTS
is a file of messages, of which each call takes the next. ANSWERS is written at the end: see `Answers`.
"""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from integration.raw_connection import Answer, message, messages_of
from rankserve.v1 import ranking_pb2
from reliability.load_generator import LoadGenerator

_IN_FLIGHT = 64
_OK = 0
_TESTS = Path(__file__).parents[1]


@dataclass
class Answers:
    """What came of the calls.

    Attributes:
        seconds: how long calls were made.
        calls: how many.
        failed: how many ended with each status but OK, by its number; -1 is one that was only reset.
        failed_due: when each of these was due, on the clock of `time.perf_counter`, which all processes share.
        took: seconds of each answered call, from when it was due.
        due: when each of these was, likewise.
        distinct: how often each answer came to each request, by the request's number and the message.
    """

    seconds: float
    calls: int
    failed: dict[int, int]
    failed_due: list[float]
    took: list[float]
    due: list[float]
    distinct: dict[tuple[int, bytes], int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took) / self.seconds


class CheckedLoad(LoadGenerator):
    """A generator that keeps the answers."""

    def __init__(self, address: str, requests: list[bytes]) -> None:
        super().__init__(address, candidates=0)
        self._bodies = [message(content) for content in requests]
        self.distinct: Counter[tuple[int, bytes]] = Counter()

    def run_until_closed(self, rate: float) -> Answers:
        """Calls until stdin is closed."""
        due = 0.0
        self._start = time.perf_counter()
        while not select.select([sys.stdin], [], [], 0)[0]:
            if rate:
                while due <= self._now():
                    self._call(due)
                    due += self._chance.expovariate(rate)
                self._receive(max(0.0, min(due - self._now(), 0.1)))
            else:
                while sum(map(len, self._waiting)) < _IN_FLIGHT:
                    self._call(self._now())
                self._receive(0.1)
        seconds = self._now()
        self._outcome(seconds)  # waits for the last ones
        failed = Counter({status: count for status, count in self._statuses.items() if status != _OK})
        order = sorted(range(len(self._answered)), key=self._answered_due.__getitem__)
        took = [self._answered[place] for place in order]
        due_at = [self._start + self._answered_due[place] for place in order]
        failed_due = sorted(self._start + due for due in self._refused_due)
        return Answers(seconds, self._sent, failed, failed_due, took, due_at, self.distinct)

    def ended(self, number: int, answer: Answer) -> None:
        """Keeps an answer."""
        if answer.status == _OK:
            self.distinct[number, answer.body] += 1


class RunningLoad:
    """One run in a process of its own, which starts with the constructor."""

    def __init__(self, address: str, rate: float, requests: list[ranking_pb2.RankRequest]) -> None:
        self._directory = tempfile.TemporaryDirectory()
        path = Path(self._directory.name)
        (path / "requests").write_bytes(msgspec.msgpack.encode([request.SerializeToString() for request in requests]))
        self._answers = path / "answers"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "reliability.checked_load", address, str(rate)),
                *(str(path / "requests"), str(self._answers)),
            ],
            cwd=_TESTS,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Makes sure that it is gone."""
        self._process.kill()
        self._process.communicate()
        self._directory.cleanup()

    def end(self) -> Answers:
        """Lets it end, which has to be a good end."""
        _, errors = self._process.communicate()
        assert self._process.returncode == 0, errors.decode()
        return msgspec.msgpack.decode(self._answers.read_bytes(), type=Answers)


def responses_of(distinct: Counter[tuple[int, bytes]]) -> list[tuple[int, ranking_pb2.RankResponse, int]]:
    """Each of `Answers.distinct`, with the number of its request and how often it came."""
    found = []
    for (request, body), count in distinct.items():
        (content,) = messages_of(body)
        found.append((request, ranking_pb2.RankResponse.FromString(content), count))
    return found


def main(address: str, rate: float, requests: Path, answers: Path) -> None:
    load = CheckedLoad(address, msgspec.msgpack.decode(requests.read_bytes(), type=list[bytes]))
    found = load.run_until_closed(rate)
    answers.write_bytes(msgspec.msgpack.encode(found))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)
