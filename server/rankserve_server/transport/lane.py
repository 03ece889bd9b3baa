"""The direct lane: one thread that takes calls, has them scored in batches and sends the answers.

A batch forms by itself: while one is computed, on the engine's thread, this one takes the next requests and sends the
answers to the last ones. There is no event loop and no timer on the way of a request.

Each step is done for all requests of a round before the next step: the code and data of a step then stay in the
processor's cache, which takes a sixteenth off a request of 100 candidates.
"""

import logging
import threading
import time
from typing import Any

import grpc

from rankserve_server.errors import NotReadyError
from rankserve_server.job_queue import JobQueue
from rankserve_server.limits import Limits
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.security.gate import Gate
from rankserve_server.service.plain_requests import decode_plain
from rankserve_server.service.planning import Planner
from rankserve_server.transport import grpc_core
from rankserve_server.transport.lane_calls import BatchCall, LaneCall, RankCall, Request, StreamCall

_log = logging.getLogger(__name__)

_SERVICE = "/rankserve.v1.RankingService"
_CALL_TYPES: dict[str, type[LaneCall]] = {
    f"{_SERVICE}/Rank": RankCall,
    f"{_SERVICE}/BatchRank": BatchCall,
    f"{_SERVICE}/RankStream": StreamCall,
}
# How many calls of a method the core may hand over before it is asked again: enough that it never waits for us.
_REQUESTED_CALLS = 128
# Events taken before the next batch is computed, where they keep coming.
_EVENTS_PER_ROUND = 512
# How soon an idle lane notices that the server drains.
_IDLE_SECONDS = 0.1


class Lane:
    """The RankingService of a public `grpc.Server`, on a thread of its own.

    Attributes:
        planner: from messages to jobs.
        limits: bounds on requests.
        gate: which calls may go on; None where all may.
        arrived: requests to be planned in this round.
        jobs: what waits for the engine.
        scored: requests to be answered in this round.
        in_flight: requests that are being answered.
        streams: the RankStream calls that are open.
        draining: whether new requests are refused.
        stopping: whether no further calls are taken.
    """

    def __init__(self, server: grpc.Server, planner: Planner, limits: Limits, gate: Gate | None = None) -> None:
        """Before the server starts."""
        self.planner = planner
        self.limits = limits
        self.gate = gate
        self.arrived: list[Request] = []
        self.jobs = JobQueue(limits.max_queued_candidates)
        self.scored: list[Request] = []
        self.in_flight = 0
        self.streams: set[StreamCall] = set()
        self.draining = False
        self.stopping = False
        self._closed = False
        self._queue = grpc_core.CallQueue(server, tuple(_CALL_TYPES))
        self._thread = threading.Thread(target=self._run, name="rankserve-lane", daemon=True)

    def start(self) -> None:
        """Takes calls; once the server has started."""
        for method, call_type in _CALL_TYPES.items():
            arrivals = _Arrivals(self, self._queue, method, call_type)
            for _ in range(_REQUESTED_CALLS):
                arrivals.ask()
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
        while (self.in_flight or self.streams) and time.monotonic() < until and not self.stopping:
            time.sleep(_IDLE_SECONDS / 10)
        return self.in_flight

    def stop_asking(self) -> None:
        """Asks for no further calls; before the server is stopped."""
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
            raise NotReadyError("the server is shutting down; another one can answer")

    def _run(self) -> None:
        computing = None
        while not self._closed:
            self._queue.handle_events(0 if computing or self.jobs else _IDLE_SECONDS, _EVENTS_PER_ROUND)
            if self.draining:
                for stream in list(self.streams):
                    stream.end_reading()
            self._plan_arrived()
            # The next batch is computed while the answers of the last one go out.
            started = self.jobs.start_batch()
            if computing:
                self._finish(computing)
            computing = started
            self._answer_scored()

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
        for request in scored:
            request.encode()
        for request in scored:
            try:
                request.send()
            except Exception:  # whatever it is, it must not end the thread
                _log.exception("Answering a request failed.")


class _Arrivals:
    """Gets the new calls of one method."""

    def __init__(self, lane: Lane, queue: grpc_core.CallQueue, method: str, call_type: type[LaneCall]) -> None:
        self._lane = lane
        self._queue = queue
        self._method = method
        self._call_type = call_type

    def ask(self) -> None:
        """Asks for one more call."""
        self._queue.request_call(self._method, self)

    def handle(self, event: Any) -> None:
        """Starts a call. The event of a server that stops brings none."""
        if event.success:
            if not self._lane.stopping:
                self.ask()
            call, gate = self._call_type(self._lane, event), self._lane.gate
            refusal = None if gate is None else gate.refusal(self._method, event.invocation_metadata)
            if refusal is None:
                call.start()
            else:
                call.refuse(refusal)
