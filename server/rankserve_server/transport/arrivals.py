"""The new calls of one method: how many the core may hand over, and what becomes of each first."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rankserve_server.transport import grpc_core
from rankserve_server.transport.lane_calls import LaneCall

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.transport.lane import Lane

NewCall: TypeAlias = Callable[["Lane", Any, "MethodCounts | None"], LaneCall]
# How many calls of a method the core may hand over before it is asked again: of those that are scored enough that it
# never waits for us, and more where many are answered a second: see `Lane.asked_ahead`.
SCORED, OTHER = 128, 16
# New ones for each that has come, until there are enough: to ask for thousands at once would hold up a round.
_ASKED_FOR_ONE = 2
# The same for each round.
_ASKED_IN_ROUND = 16


class Arrivals:
    """Gets the new calls of one method, on the lane's thread."""

    def __init__(
        self,
        lane: "Lane",
        queue: grpc_core.CallQueue,
        method: str,
        call_type: NewCall,
        counts: "MethodCounts | None",
        scored: bool,
    ) -> None:
        """Args:
        lane: takes its calls.
        queue: where the core hands them over.
        method: its path.
        call_type: makes a call of what has been handed over.
        counts: where they count; None where nobody does.
        scored: whether they are scored.
        """
        self._lane = lane
        self._queue = queue
        self._method = method
        self._call_type = call_type
        self._counts = counts
        self._scored = scored
        self._asked = 0
        # Refused, and nothing asked for in their place.
        self._owed = 0

    def ask(self, calls: int) -> None:
        """Asks for so many more."""
        for _ in range(calls):
            self._queue.request_call(self._method, self)
            self._asked += 1

    def ask_again(self) -> None:
        """In place of calls that were refused: as many as there is time to refuse."""
        lane = self._lane
        if self._owed and not lane.stopping:
            affordable = int(lane.refusals.affordable) + 1 if lane.jobs.batch_is_full else _ASKED_IN_ROUND
            count = min(self._owed, affordable)
            self._owed -= count
            self.ask(min(lane.asked_ahead - self._asked, count))

    def handle(self, event: Any) -> None:
        """Starts a call. The event of a server that stops brings none."""
        if not event.success:
            return
        refused_before = self._lane.refusals.counted
        self._asked -= 1
        try:
            self._start(event)
        finally:  # whatever it was: who asks for no other call in its place answers none in the end
            self._ask_after_one(was_refused=self._lane.refusals.counted != refused_before)

    def _start(self, event: Any) -> None:
        lane = self._lane
        lane.calls += 1
        call = self._call_type(lane, event, self._counts)
        if lane.observer is not None:
            call.seen = lane.observer.begin(self._method, event.invocation_metadata)
        refusal = None if lane.gate is None else lane.gate.refusal(self._method, event.invocation_metadata)
        if refusal is None:
            call.start()
        else:
            call.refuse(refusal)

    def _ask_after_one(self, was_refused: bool) -> None:
        lane = self._lane
        if was_refused and not lane.may_refuse:
            self._owed += 1
        elif not lane.stopping:
            wanted = lane.asked_ahead if self._scored else OTHER
            self.ask(min(wanted - self._asked, _ASKED_FOR_ONE if lane.may_refuse else 1))
