"""Sends large requests at random times until SIGTERM: `python large_requests.py HOST:PORT RATE CANDIDATES ITEMS`.

A process of its own, so that what its answers cost a client is not felt by the generator whose latency counts. Prints
`ready` after a first answer, and at the end one JSON object: `answered`, `wrong` and `p50_ms`.
"""

import json
import signal
import statistics
import sys
import threading
import time
from functools import partial
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_client.bench.arrivals import poisson_arrivals

_REQUESTS = 16
_TIMEOUT = 30.0

Ids = npt.NDArray[np.int64]


class Tally:
    """What is counted; gRPC's threads add to it."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.wrong = 0

    def on_end(self, asked: Ids, due: float, call: Any) -> None:
        """Checks and counts a call that has ended."""
        now = time.monotonic()
        if call.code() is not grpc.StatusCode.OK or not is_ranking_of(call.result(), asked):
            self.wrong += 1
        self.latencies.append(now - due)


def is_ranking_of(response: ranking_pb2.RankResponse, asked: Ids) -> bool:
    """Whether the items are those of the request and their scores fall."""
    ids, scores = np.array(response.item_ids), np.array(response.scores)
    return np.array_equal(np.sort(ids), np.sort(asked)) and bool((np.diff(scores) <= 0).all())


def main(target: str, rate: float, candidates: int, items: int) -> None:
    """Sends until it is told to stop, and waits for the last answers."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    random = np.random.default_rng(0)
    pool = [random.integers(1, items + 1, candidates) for _ in range(_REQUESTS)]
    requests = [ranking_pb2.RankRequest(user_id=1 + n, candidate_ids=asked) for n, asked in enumerate(pool)]
    tally = Tally()
    calls: list[Any] = []
    with grpc.insecure_channel(target) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        stub.Rank(requests[0], timeout=_TIMEOUT, wait_for_ready=True)
        print("ready", flush=True)
        start = time.monotonic()
        for number, arrival in enumerate(poisson_arrivals(rate, "large requests")):
            due = start + arrival
            if stopped.wait(max(0.0, due - time.monotonic())):
                break
            call = stub.Rank.future(requests[number % _REQUESTS], timeout=_TIMEOUT)
            call.add_done_callback(partial(tally.on_end, pool[number % _REQUESTS], due))
            calls.append(call)
        while len(tally.latencies) < len(calls):  # each call has a deadline, so this ends
            time.sleep(0.01)
    p50_ms = statistics.median(tally.latencies) * 1e3 if tally.latencies else 0.0
    print(json.dumps({"answered": len(calls), "wrong": tally.wrong, "p50_ms": p50_ms}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
