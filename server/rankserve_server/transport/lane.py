"""The direct lane: one thread that takes calls, has them scored in batches and sends the answers.

A batch forms by itself: while one is computed, on the engine's thread, this one takes the next requests and sends the
answers to the last ones. There is no event loop and no timer on the way of a request.

Each step is done for all requests of a round before the next step: the code and data of a step then stay in the
processor's cache, which takes a sixteenth off a request of 100 candidates.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import grpc

from rankserve_server.errors import NotReadyError
from rankserve_server.job_queue import JobQueue
from rankserve_server.limits import Limits
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.security.gate import Gate
from rankserve_server.service.health import Health
from rankserve_server.service.plain_requests import decode_plain
from rankserve_server.service.planning import Planner
from rankserve_server.transport import grpc_core
from rankserve_server.transport.arrivals import OTHER, SCORED, Arrivals, NewCall
from rankserve_server.transport.lane_calls import (
    BatchCall,
    LaneCall,
    RankCall,
    Request,
    ScoredCall,
)
from rankserve_server.transport.lane_services import (
    AnsweredCall,
    HealthCheckCall,
    HealthListCall,
    HealthWatchCall,
    OpenCall,
    ReflectionCall,
)
from rankserve_server.transport.lane_streams import RankStreamCall, ScoredStreamCall, StreamCall
from rankserve_server.transport.refusals import Refusals
from rankserve_server.transport.services import (
    HEALTH_SERVICE,
    RANKING_SERVICE,
    REFLECTION_SERVICE,
    UNSEEN_CALLS,
    reflection_answers,
)

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import CallCounts, MethodCounts
    from rankserve_server.metrics.queue_counts import QueueCounts
    from rankserve_server.observing.call_observer import CallObserver

_log = logging.getLogger(__name__)

# Calls that come while this process, or the whole machine, stands still for so long are all taken. With what comes in
# twice that time each would wait unseen for most of a second, which is as much as many a caller gives it.
_STANDSTILL_SECONDS = 0.4
# Each asked for holds some 3 KiB, and an answer is the dearer the more there are: a fiftieth with 5,000.
_MOST_ASKED = 8_192
# So many calls of Rank may come at once, with those that the core keeps by itself.
_AT_ONCE = 2_048
_CALL_TYPES: dict[str, tuple[NewCall, int]] = {
    f"/{RANKING_SERVICE}/Rank": (RankCall, _AT_ONCE - UNSEEN_CALLS),
    f"/{RANKING_SERVICE}/BatchRank": (BatchCall, SCORED),
    f"/{RANKING_SERVICE}/RankStream": (RankStreamCall, SCORED),
    f"/{HEALTH_SERVICE}/Check": (HealthCheckCall, OTHER),
    f"/{HEALTH_SERVICE}/List": (HealthListCall, OTHER),
    f"/{HEALTH_SERVICE}/Watch": (HealthWatchCall, OTHER),
}
_REFLECTION_TYPES: dict[str, tuple[NewCall, int]] = {
    f"/{REFLECTION_SERVICE}/ServerReflectionInfo": (ReflectionCall, OTHER)
}
# Events taken before the next batch is computed, where they keep coming.
_EVENTS_PER_ROUND = 512
# The same where more is queued than fits into the next batch and nothing is refused yet, as after a standstill: so many
# for each request that was just answered, and some more. To read all that has come before the next answers go would
# have those wait who need not. Where calls are refused, only those come that there is room for.
_EVENTS_OF_ANSWERED, _EVENTS_WHEN_FULL = 4, 16
# So long after a call has come its message is expected, which most clients send together with it.
_EXPECTED_SECONDS = 0.05
# How soon an idle lane notices that the server drains.
_IDLE_SECONDS = 0.1
# Before a server that has drained stops: so long without a new call, waited for so long at most.
_SILENCE_SECONDS = 0.1
_LONGEST_WAIT_FOR_SILENCE = 1.0


class Lane:
    """The RankingService of a public `grpc.Server`, other protocols, health and reflection, on a thread of its own.

    Attributes:
        planner: from messages to jobs.
        limits: bounds on requests.
        health: what the health service says.
        gate: which calls may go on; None where all may.
        reflect: from a message of reflection to its answer.
        expected: unary calls that were not refused and whose message has not come, with when they came, in that order;
            those only of which it may come any moment.
        arrived: requests to be planned in this round.
        jobs: what waits for the engine.
        observer: who sees calls; None where nobody does.
        scored: requests to be answered in this round.
        in_flight: requests that are being answered.
        asked_ahead: how many calls of a method that is scored the core may hand over before it is asked again, where
            that is more than at first: as many as are answered in a standstill, less `UNSEEN_CALLS`, which it keeps.
        refusals: how many calls there is no room for.
        is_full: whether more is queued, or about to be, than is being computed and fits into the next batch.
        is_overloaded: whether calls are refused as well. Then none is asked for in place of one that has come, but as
            many as there is room for.
        room: how many more calls that is, in this round.
        streams: the calls with a stream of requests that are open.
        open_calls: the other calls that stay open.
        calls: how many there were.
        rounds: how many there were; they go on while nothing is asked, so that who stops counting hangs.
        draining: whether new requests are refused.
        stopping: whether no further calls are taken.
    """

    def __init__(
        self,
        server: grpc.Server,
        planner: Planner,
        limits: Limits,
        health: Health,
        gate: Gate | None = None,
        reflection: bool = True,
        protocols: Sequence[ProtocolService] = (),
        calls: "CallCounts | None" = None,
        queue: "QueueCounts | None" = None,
        observer: "CallObserver | None" = None,
    ) -> None:
        """Before the server starts.

        Args:
            server: made by `grpc.server`, whose calls it takes.
            planner: see above, as for `limits`, `health` and `gate`.
            limits: likewise.
            health: likewise.
            gate: likewise.
            reflection: whether clients may ask what services there are.
            protocols: further services; of them it takes all that is not slow.
            calls: counts calls; None where nobody does.
            queue: counts what becomes of jobs; likewise.
            observer: sees calls; likewise.
        """
        self._call_counts = calls
        # Of the methods whose calls are scored.
        self._counted: list[MethodCounts] = []
        self.observer = observer
        self.planner = planner
        self.limits = limits
        self.health = health
        self.gate = gate
        self.reflect = reflection_answers(protocols)
        self.expected: dict[LaneCall, float] = {}
        self.arrived: list[Request] = []
        self.jobs = JobQueue(limits.max_queued_candidates, limits.max_queue_ms, queue, observer)
        self.scored: list[Request] = []
        self.in_flight = 0
        self.asked_ahead = 0
        self.refusals = Refusals(time.monotonic())
        self.is_full = False
        self.is_overloaded = False
        self.room = 0
        self._asks_more = False
        self._just_answered = 0
        self._scored_arrivals: list[Arrivals] = []
        self.streams: set[StreamCall] = set()
        self.open_calls: set[OpenCall] = set()
        self.calls = 0
        self.rounds = 0
        self._health_changes = 0
        self.draining = False
        self.stopping = False
        self._closed = False
        self._call_types = _CALL_TYPES | _protocol_call_types(protocols) | (_REFLECTION_TYPES if reflection else {})
        self._queue = grpc_core.CallQueue(server, list(self._call_types))
        self._thread = threading.Thread(target=self._run, name="rankserve-lane", daemon=True)

    def start(self) -> None:
        """Takes calls; once the server has started."""
        for method, (call_type, least) in self._call_types.items():
            counts = None if self._call_counts is None else self._call_counts.of(method)
            arrivals = Arrivals(self, self._queue, method, call_type, counts, least)
            if arrivals.are_scored:
                self._scored_arrivals.append(arrivals)
                self._counted += [] if counts is None else [counts]
            arrivals.start()
        self._thread.start()

    def drain(self, seconds: float) -> int:
        """Refuses new requests, ends streams and waits for what is in flight.

        Returns:
            How many requests were in flight when the time was up.
        """
        self.draining = True
        until = time.monotonic() + seconds
        # A stream that is open when the lane notices is ended by it, so that none is left.
        # After `stop_asking` nobody waits for this any more, and the process cannot end before this thread.
        while self.in_flight or self.streams:
            if time.monotonic() >= until or self.stopping:
                return self.in_flight
            time.sleep(_IDLE_SECONDS / 10)
        self._wait_for_silence(until)
        return 0

    def stop_asking(self) -> None:
        """Asks for no further calls and ends those that stay open; before the server is stopped."""
        self.stopping = True

    def close(self) -> None:
        """Ends the thread; after the server has stopped."""
        self._closed = True
        self._thread.join()
        self._queue.close()

    def check_open(self) -> None:
        """Refuses a new request while the server drains.

        Raises:
            NotReadyError: then.
        """
        if self.draining:
            raise _shutting_down()

    def _wait_for_silence(self, until: float) -> None:
        """A call that meets the core's goodbye on its way is cut off without a reason; here it is told one."""
        until = min(until, time.monotonic() + _LONGEST_WAIT_FOR_SILENCE)
        before = None
        while before != self.calls and time.monotonic() < until and not self.stopping:
            before = self.calls
            time.sleep(_SILENCE_SECONDS)

    def _run(self) -> None:
        computing = None
        while not self._closed:
            self.rounds += 1
            self._expect_no_longer()
            busy = computing or self.jobs or self._asks_more
            self._queue.handle_events(0 if busy else _IDLE_SECONDS, self._events_to_take())
            self._look_after_open_calls()
            self._plan_arrived()
            # The next batch is computed while the answers of the last one go out.
            started = self.jobs.start_batch()
            if computing:
                self._finish(computing)
            computing = started
            self._answer_scored()
            self._ask_for_calls()

    def _events_to_take(self) -> int:
        if self.is_full and not self.is_overloaded:
            return _EVENTS_WHEN_FULL + _EVENTS_OF_ANSWERED * self._just_answered
        return _EVENTS_PER_ROUND

    def _ask_for_calls(self) -> None:
        self.refusals.end_round(time.monotonic(), self.jobs.refusal_seconds)
        self.is_full = self.jobs.is_full_with(len(self.expected) + len(self.arrived))
        self.is_overloaded = self.is_full and self.refusals.are_recent
        self.room = self._just_answered + max(0, math.ceil(self.refusals.affordable))
        self.asked_ahead = min(self.jobs.answered_in(_STANDSTILL_SECONDS) - UNSEEN_CALLS, _MOST_ASKED)
        self._asks_more = sum(arrivals.ask_again() for arrivals in self._scored_arrivals) > 0

    def _expect_no_longer(self) -> None:
        """Who opens calls and sends no messages must not keep others out."""
        if not self.expected:
            return
        until = time.monotonic() - _EXPECTED_SECONDS
        late = list(itertools.takewhile(lambda call: self.expected[call] < until, self.expected))
        for call in late:
            del self.expected[call]

    def _look_after_open_calls(self) -> None:
        if self.draining:
            for stream in list(self.streams):
                stream.end_reading()
        # Also where all of them are ended next: who watches is told why first.
        if self._health_changes != self.health.changes:
            self._health_changes = self.health.changes
            for call in list(self.open_calls):
                call.look()
        if self.stopping:
            for call in list(self.open_calls):
                call.end(_shutting_down())

    def _plan_arrived(self) -> None:
        arrived, self.arrived = self.arrived, []
        plain = decode_plain([request.message for request in arrived])
        for request, content in zip(arrived, plain, strict=True):
            request.plan(content)

    def _finish(self, batch: ScoreBatch) -> None:
        for job in self.jobs.finish_batch(batch):
            job.tell()

    def _answer_scored(self) -> None:
        scored, self.scored = self.scored, []
        self._just_answered = len(scored)
        for request in scored:
            request.encode()
        for request in scored:
            try:
                request.send()
            except Exception:  # whatever it is, it must not end the thread
                _log.exception("Answering a request failed.")
        for counts in self._counted:
            if counts.just_answered:
                counts.count_answered()


def _shutting_down() -> NotReadyError:
    return NotReadyError("the server is shutting down; another one can answer")


def _protocol_call_types(protocols: Sequence[ProtocolService]) -> dict[str, tuple[NewCall, int]]:
    found: dict[str, tuple[NewCall, int]] = {}
    for service in protocols:
        path = f"/{service.name}/"
        found |= {path + name: (partial(ScoredCall, plan=plan), SCORED) for name, plan in service.scored.items()}
        found |= {path + name: (partial(ScoredStreamCall, scored=s), SCORED) for name, s in service.streams.items()}
        found |= {path + name: (partial(AnsweredCall, answer=answer), OTHER) for name, answer in service.quick.items()}
    return found
