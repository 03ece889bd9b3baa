"""The new calls of one method: how many the core may hand over, and what becomes of each first."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rankserve_server.transport import grpc_core
from rankserve_server.transport.lane_calls import LaneCall

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.transport.lane import Lane

NewCall: TypeAlias = Callable[["Lane", Any, "MethodCounts | None"], LaneCall]
# How many calls of a method the core may hand over before it is asked again: of those that are scored so many at least,
# more where many are answered a second, see `Lane.asked_ahead`, and where too many come just enough that it never waits
# for us.
SCORED, OVERLOADED, OTHER = 512, 128, 16
# New ones for each that has come, until there are enough: to ask for thousands at once would hold up a round.
_ASKED_FOR_ONE = 2
# In a round, in place of those that came while there was no room.
_ASKED_IN_ROUND = 64


class Arrivals:
    """Gets the new calls of one method, on the lane's thread."""

    def __init__(
        self,
        lane: "Lane",
        queue: grpc_core.CallQueue,
        method: str,
        call_type: NewCall,
        counts: "MethodCounts | None",
        least: int,
    ) -> None:
        """Args:
        lane: takes its calls.
        queue: where the core hands them over.
        method: its path.
        call_type: makes a call of what has been handed over.
        counts: where they count; None where nobody does.
        least: how many may come at once, whatever has come before; `SCORED` or more where they are scored.
        """
        self._lane = lane
        self._queue = queue
        self._method = method
        self._call_type = call_type
        self._counts = counts
        self._least = least
        self._asked = 0
        # Have come, and nothing was asked for in their place.
        self._owed = 0

    @property
    def are_scored(self) -> bool:
        """Whether the calls are; others cost next to nothing."""
        return self._least >= SCORED

    def start(self) -> None:
        """Asks for the first ones."""
        self._ask(self._least)

    def ask_again(self) -> int:
        """In place of calls that nothing was asked for: as many as there is room for, or time to refuse.

        Returns:
            How many there were.
        """
        lane = self._lane
        count = min(self._owed, lane.room if lane.is_full else _ASKED_IN_ROUND, self._wanted - self._asked)
        if count <= 0 or lane.stopping:
            return 0
        self._owed -= count
        self._ask(count)
        return count

    def handle(self, event: Any) -> None:
        """Starts a call. The event of a server that stops brings none."""
        if not event.success:
            return
        self._asked -= 1
        try:
            self._start(event)
        finally:  # whatever it was: who asks for no other call in its place answers none in the end
            self._ask_after_one()

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

    def _ask_after_one(self) -> None:
        lane = self._lane
        if self.are_scored and lane.is_overloaded:
            self._owed += 1
        elif not lane.stopping:
            self._ask(min(self._wanted - self._asked - self._owed, 1 if lane.is_full else _ASKED_FOR_ONE))

    @property
    def _wanted(self) -> int:
        if not self.are_scored:
            return self._least
        # What is asked for waits for what is before it, too.
        return OVERLOADED if self._lane.is_overloaded else max(self._least, self._lane.asked_ahead)

    def _ask(self, calls: int) -> None:
        for _ in range(calls):
            self._queue.request_call(self._method, self)
            self._asked += 1
