"""A method has calls to come, whatever becomes of those that came."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from rankserve_server.transport.arrivals import SCORED, Arrivals
from rankserve_server.transport.lane_calls import LaneCall
from rankserve_server.transport.refusals import Refusals

CALLS = 1_000


class CountingQueue:
    """Counts what is asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def request_call(self, _method: str, _tag: object) -> None:
        self.asked += 1


def lane(may_refuse: bool = True) -> Any:
    return SimpleNamespace(
        asked_ahead=SCORED,
        refusals=Refusals(0.0),
        may_refuse=may_refuse,
        stopping=False,
        calls=0,
        observer=None,
        gate=None,
        jobs=SimpleNamespace(batch_is_full=True),
    )


def arrivals_of(its_lane: Any, queue: CountingQueue, start: Any) -> Arrivals:
    def new_call(*_: object) -> LaneCall:
        return cast("LaneCall", SimpleNamespace(start=start))

    arrivals = Arrivals(its_lane, cast("Any", queue), "/rank", new_call, None, scored=True)
    arrivals.ask(SCORED)
    return arrivals


def test_a_call_that_fails_as_it_starts_is_asked_for_again() -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    queue = CountingQueue()
    arrivals = arrivals_of(lane(), queue, fail)
    for _ in range(CALLS):
        with pytest.raises(RuntimeError, match="a bug"):
            arrivals.handle(SimpleNamespace(success=True))
    assert queue.asked - CALLS == SCORED


def test_a_refused_call_is_asked_for_again_once_there_is_time() -> None:
    its_lane, queue = lane(may_refuse=False), CountingQueue()
    arrivals = arrivals_of(its_lane, queue, its_lane.refusals.count)
    for _ in range(SCORED):
        arrivals.handle(SimpleNamespace(success=True))
    assert queue.asked == SCORED
    its_lane.jobs.batch_is_full = False
    for _ in range(SCORED):
        arrivals.ask_again()
    assert queue.asked - SCORED == SCORED
