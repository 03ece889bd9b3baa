"""The open loop: requests are sent when they are due, however slow the answers are.

Latency counts from when a request was due. Were it counted from the sending, or did the generator wait for answers, a
stall of the server would hide the requests that it delays (coordinated omission).
"""

import math
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from threading import Semaphore
from typing import Any

from rankserve_client.bench.connections import Connections
from rankserve_client.bench.tally import Tally
from rankserve_client.bench.workload import AnyRequest

# How long after the end of the run a generator that is behind still sends what was due before the end.
_GRACE = 1.0


def run_open_loop(
    connections: Connections,
    requests: Iterator[AnyRequest],
    arrivals: Iterator[float],
    most_outstanding: int,
    most_requests: int | None,
    tally: Tally,
) -> None:
    """Sends at the arrivals, in seconds from the tally's start, until its end; waits for the last answers.

    What is due while `most_outstanding` requests are under way is not sent, and counted.
    """
    room = Semaphore(most_outstanding)
    counts = tally.counts
    counts.out_of_requests = most_requests is not None
    for number, arrival in enumerate(islice(arrivals, most_requests)):
        due = tally.start + arrival
        if due >= tally.end:
            counts.out_of_requests = False
            break
        _sleep_until(due)
        if time.monotonic() > tally.end + _GRACE:
            counts.not_sent["late"] += 1
        elif room.acquire(blocking=False):
            _send(connections, number, next(requests), due, room, tally)
        else:
            counts.not_sent["outstanding"] += 1
    if not counts.out_of_requests and not math.isinf(tally.end):
        _sleep_until(tally.end)
    tally.sending_has_ended()
    for _ in range(most_outstanding):  # each call has a deadline, so this ends
        room.acquire()


def _send(
    connections: Connections, number: int, request: AnyRequest, due: float, room: Semaphore, tally: Tally
) -> None:
    tally.counts.lateness.record(time.monotonic() - due)
    connections.call(number, request).add_done_callback(partial(_on_end, request, due, room, tally))


def _on_end(request: AnyRequest, due: float, room: Semaphore, tally: Tally, call: Any) -> None:
    now = time.monotonic()
    tally.record(request, due, now, call)
    room.release()


def _sleep_until(moment: float) -> None:
    delay = moment - time.monotonic()
    if delay > 0:
        time.sleep(delay)
