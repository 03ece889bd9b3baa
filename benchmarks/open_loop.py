"""Requests at random times: `python open_loop.py ADDRESS RATE SECONDS SEED`.

Latency counts from when a request was due, so that one that is sent late counts as slow. Prints one line of JSON.
"""

import json
import random
import sys

from raw_caller import RawCaller

CANDIDATES = 100
_WARM_UP_SECONDS = 1.0
_LAST_ANSWERS_SECONDS = 10.0


class OpenLoop:
    """One run. Times are in seconds.

    Attributes:
        late: how much later than it was due each request was sent.
        latencies: from when a request was due to its answer, of those after the warm-up.
    """

    def __init__(self, address: str, rate: float, seconds: float, seed: int, candidates: int = CANDIDATES) -> None:
        chance = random.Random(seed)
        self._due = _arrivals(chance, rate, _WARM_UP_SECONDS + seconds)
        self._caller = RawCaller(address, chance, candidates)
        self._sent = 0
        self.late: list[float] = []
        self.latencies: list[float] = []

    def run(self) -> None:
        """Sends everything and waits for all answers."""
        while self._sent < len(self._due) or self._caller.is_waiting:
            self._send_what_is_due()
            self._take_answers()

    def _send_what_is_due(self) -> None:
        now = self._caller.now()
        while self._sent < len(self._due) and self._due[self._sent] <= now:
            self._caller.send(self._sent)
            if self._due[self._sent] > _WARM_UP_SECONDS:
                self.late.append(now - self._due[self._sent])
            self._sent += 1
        self._caller.flush()

    def _take_answers(self) -> None:
        now = self._caller.now()
        until = self._due[self._sent] if self._sent < len(self._due) else self._due[-1] + _LAST_ANSWERS_SECONDS
        if self._sent == len(self._due) and now > until:
            raise TimeoutError("answers do not come")
        for number, answered in self._caller.answered(until - now):
            if self._due[number] > _WARM_UP_SECONDS:
                self.latencies.append(answered - self._due[number])


def _arrivals(chance: random.Random, rate: float, seconds: float) -> list[float]:
    """When requests are due: a Poisson process."""
    due = [chance.expovariate(rate)]
    while due[-1] < seconds:
        due.append(due[-1] + chance.expovariate(rate))
    return due


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
