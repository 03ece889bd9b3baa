"""The closed loop: a fixed number of callers, each of which sends its next request when its last one has ended."""

import time
from collections.abc import Iterator
from itertools import repeat
from queue import SimpleQueue
from typing import Any

from grpc import StatusCode

from rankserve_client.bench.connections import Connections
from rankserve_client.bench.tally import Tally
from rankserve_client.bench.workload import AnyRequest

# After a failure. Without it, callers that a server refuses, or that has gone, would do nothing but fail.
_PAUSE = 0.010


def run_closed_loop(
    connections: Connections, requests: Iterator[AnyRequest], concurrency: int, most_requests: int | None, tally: Tally
) -> None:
    """Keeps `concurrency` requests under way until the tally's end or until all have been sent; waits for the last."""
    loop = _Loop(connections, requests, most_requests, tally)
    for number in range(concurrency):
        loop.resting.put((_Caller(loop, number), tally.start))
    loop.run(concurrency)


class _Loop:
    """What the callers share. The main thread runs it; it sends what the threads of the connections cannot."""

    def __init__(
        self, connections: Connections, requests: Iterator[AnyRequest], most_requests: int | None, tally: Tally
    ) -> None:
        self.connections = connections
        self.requests = requests
        self.tally = tally
        self.resting: SimpleQueue[tuple[_Caller, float]] = SimpleQueue()
        # Iterators of C: taking from them is atomic.
        self._tickets: Iterator[object] = repeat(None) if most_requests is None else iter(range(most_requests))
        self._no_ticket = object()

    def take_ticket(self, now: float) -> bool:
        """Whether another request may be sent."""
        return now < self.tally.end and next(self._tickets, self._no_ticket) is not self._no_ticket

    def run(self, callers: int) -> None:
        remaining = callers
        while remaining:
            caller, until = self.resting.get()
            time.sleep(max(0.0, until - time.monotonic()))
            if self.take_ticket(time.monotonic()):
                caller.send()
                continue
            if remaining == callers:
                self.tally.sending_has_ended()
                self.tally.counts.out_of_requests = time.monotonic() < self.tally.end
            remaining -= 1


class _Caller:
    def __init__(self, loop: _Loop, number: int) -> None:
        self._loop = loop
        self._number = number
        self._is_sending = False
        self._request: AnyRequest
        self._since = 0.0

    def send(self) -> None:
        self._is_sending = True
        self._request = next(self._loop.requests)
        self._since = time.monotonic()
        call = self._loop.connections.call(self._number, self._request)
        call.add_done_callback(self._on_end)
        self._is_sending = False

    def _on_end(self, call: Any) -> None:
        """Sends the next request first and checks the answer then, so that the server does not wait for the check."""
        now = time.monotonic()
        request, since = self._request, self._since
        # From within `send`, which a call that has ended already gets here, sending again could go on without end.
        may_send = not self._is_sending and call.code() is StatusCode.OK and self._loop.take_ticket(now)
        if may_send:
            self.send()
        self._loop.tally.record(request, since, now, call)
        if not may_send:
            self._loop.resting.put((self, now + (0 if call.code() is StatusCode.OK else _PAUSE)))
