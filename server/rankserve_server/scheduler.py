"""Computes what is queued, on the event loop that queues it.

What matters is that a batch is gathered. grpc.aio hands over its calls one by one, so whoever computes at once finds
one job at a time: computed alone it takes 150 us of processor time, with nineteen others 60 us each. It does not matter
who waits for the engine, which computes on a thread of its own: a thread of ours to do it is no cheaper.
"""

import asyncio
from typing import TYPE_CHECKING

from rankserve_server.engine.engine import Engine
from rankserve_server.errors import RequestError
from rankserve_server.job_queue import JobQueue
from rankserve_server.score_job import ScoreJob

if TYPE_CHECKING:
    from rankserve_server.metrics.queue_counts import QueueCounts
    from rankserve_server.observing.call_observer import CallObserver
    from rankserve_server.score_batch import ScoreBatch

# Turns of the loop without a new job after which there is nothing else to do. From one call to the next grpc.aio takes
# up to 7 turns: after 5 a batch under load has 2 to 3 jobs, after 7 or more it has 11. An empty turn takes two
# microseconds.
_QUIET_TURNS = 10
# Nor does a batch grow beyond so many jobs, however short: by then another one makes it hardly any cheaper.
_ENOUGH_JOBS = 32
_LEAST_WEIGHT = Engine.slice_rows // _ENOUGH_JOBS


class Scheduler:
    """Scores jobs in batches, each as soon as it is large enough or the loop has nothing else to do."""

    def __init__(
        self,
        max_queued_candidates: int,
        max_queue_ms: int = 0,
        counts: "QueueCounts | None" = None,
        observer: "CallObserver | None" = None,
    ) -> None:
        """Belongs to the running event loop. For the arguments see `JobQueue`."""
        self._loop = asyncio.get_running_loop()
        self._queue = JobQueue(max_queued_candidates, max_queue_ms, counts, observer)
        self._computing: ScoreBatch | None = None
        self._running = False
        self._gathered = 0
        self._turns_left = 0

    @property
    def queued_candidates(self) -> int:
        """See `JobQueue`."""
        return self._queue.queued_candidates

    def refusal(self, deadline: float) -> RequestError | None:
        """See `JobQueue.refusal`."""
        return self._queue.refusal(deadline)

    def submit(self, *jobs: ScoreJob) -> None:
        """Queues jobs, all or none; see `JobQueue.add` for what it raises. Each job's `on_done` is called later."""
        self._queue.add(*jobs)
        self._gathered += sum(max(job.count, _LEAST_WEIGHT) for job in jobs)
        self._turns_left = _QUIET_TURNS
        if not self._running:
            self._running = True
            self._loop.call_soon(self._turn)

    def close(self) -> None:
        """Refuses further jobs and finishes the batch that is being computed; jobs that are still queued fail."""
        self._queue.close()
        if self._computing:
            self._hand_out(self._queue.finish_batch(self._computing))
            self._computing = None
        self._hand_out(self._queue.fail_all())

    def _turn(self) -> None:
        """Once in every turn of the loop while there are jobs."""
        if not (self._computing or self._queue):
            self._running = False
            return
        self._loop.call_soon(self._turn)
        self._turns_left -= 1
        if self._turns_left <= 0 or self._gathered >= Engine.slice_rows:
            self._compute()

    def _compute(self) -> None:
        # The next batch is computed while the answers of the last one go out.
        computed = self._computing
        self._computing = self._queue.start_batch()
        self._gathered = 0
        # Before the loop waits for what has just been started, whoever has come meanwhile has his turns too.
        self._turns_left = _QUIET_TURNS
        if computed:
            self._hand_out(self._queue.finish_batch(computed))
            # The rest of a long job has waited already.
            self._computing = self._computing or self._queue.start_batch()

    def _hand_out(self, done: list[ScoreJob]) -> None:
        for job in done:
            job.tell()
