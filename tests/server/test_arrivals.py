"""A method has calls to come, whatever becomes of those that came, and no more than there is room for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from rankserve_server.transport.arrivals import OVERLOADED, SCORED, Arrivals
from rankserve_server.transport.lane_calls import LaneCall

CALLS = 1_000
AHEAD = 2_000


class CountingQueue:
    """Counts what is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def request_call(self, _method: str, _tag: object) -> None:
        self.asked += 1


class Arriving:
    """A method of a lane that is free, full or overloaded."""

    def __init__(self, start: Any = lambda: None) -> None:
        def new_call(*_: object) -> LaneCall:
            return cast("LaneCall", SimpleNamespace(start=start))

        self.lane = SimpleNamespace(asked_ahead=AHEAD, room=0, stopping=False, calls=0, observer=None, gate=None)
        self.free()
        self.queue = CountingQueue()
        self.arrivals = Arrivals(cast("Any", self.lane), cast("Any", self.queue), "/rank", new_call, None, SCORED)
        self.arrivals.start()
        self.handled = 0

    @property
    def to_come(self) -> int:
        """How many calls the core may hand over now."""
        return self.queue.asked - self.handled

    def handle(self, calls: int) -> None:
        for _ in range(calls):
            self.handled += 1
            self.arrivals.handle(SimpleNamespace(success=True))

    def overload(self) -> None:
        self.lane.is_full = self.lane.is_overloaded = True

    def free(self) -> None:
        self.lane.is_full = self.lane.is_overloaded = False


def test_the_more_come_the_more_are_asked_for() -> None:
    arriving = Arriving()
    arriving.handle(AHEAD)
    assert arriving.to_come == AHEAD


def test_a_full_queue_keeps_what_was_asked_for() -> None:
    arriving = Arriving()
    arriving.lane.is_full = True
    arriving.handle(CALLS)
    assert arriving.to_come == SCORED


def test_a_call_that_fails_as_it_starts_is_asked_for_again() -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    arriving = Arriving(fail)
    for _ in range(CALLS):
        with pytest.raises(RuntimeError, match="a bug"):
            arriving.handle(1)
    assert arriving.to_come >= SCORED


def test_where_too_many_come_as_many_are_asked_for_as_there_is_room_for() -> None:
    arriving = Arriving()
    arriving.overload()
    arriving.handle(SCORED)
    assert arriving.to_come == 0
    for room in (3, 0, 7):
        arriving.lane.room = room
        assert arriving.arrivals.ask_again() == room
        assert arriving.to_come == room
        arriving.handle(room)


def test_what_was_asked_for_before_too_many_came_is_used_up_first() -> None:
    arriving = Arriving()
    arriving.handle(AHEAD)
    arriving.overload()
    arriving.lane.room = CALLS
    arriving.handle(AHEAD - OVERLOADED)
    assert arriving.arrivals.ask_again() == 0
    arriving.handle(5)
    assert arriving.arrivals.ask_again() == 5


def test_once_there_is_room_all_is_as_before() -> None:
    arriving = Arriving()
    arriving.handle(AHEAD)
    arriving.overload()
    arriving.handle(AHEAD)
    arriving.free()
    while arriving.arrivals.ask_again():
        pass
    assert arriving.to_come == AHEAD


def test_a_lane_that_stops_asks_for_none() -> None:
    arriving = Arriving()
    arriving.overload()
    arriving.handle(SCORED)
    arriving.lane.stopping = True
    arriving.free()
    assert arriving.arrivals.ask_again() == 0
    assert arriving.to_come == 0
