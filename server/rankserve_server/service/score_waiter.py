"""The scheduler for the coroutines of one event loop."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankserve_server.errors import RequestError
from rankserve_server.limits import Limits
from rankserve_server.scheduler import Scheduler
from rankserve_server.score_job import ScoreJob

if TYPE_CHECKING:
    from rankserve_server.metrics.queue_counts import QueueCounts
    from rankserve_server.observing.call_observer import CallObserver


class ScoreWaiter:
    """Submits jobs and waits for them without blocking the loop."""

    def __init__(
        self, limits: Limits, counts: "QueueCounts | None" = None, observer: "CallObserver | None" = None
    ) -> None:
        """Belongs to the running event loop. For `counts` and `observer` see `JobQueue`."""
        self._loop = asyncio.get_running_loop()
        self._scheduler = Scheduler(limits.max_queued_candidates, limits.max_queue_ms, counts, observer)

    @property
    def queued_candidates(self) -> int:
        """See `JobQueue`."""
        return self._scheduler.queued_candidates

    def refusal(self, deadline: float) -> RequestError | None:
        """See `JobQueue.refusal`."""
        return self._scheduler.refusal(deadline)

    async def score(self, jobs: Sequence[ScoreJob]) -> None:
        """Waits until every job is done; each then has its scores or its error.

        A caller that is cancelled abandons its jobs.

        Raises:
            OverloadedError: where the queue is full; no job is then queued.
            NotReadyError: after `close`.
        """
        if not jobs:
            return
        done = self._loop.create_future()
        waiting = len(jobs)

        def count_down(_job: ScoreJob) -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting and not done.done():
                done.set_result(None)

        for job in jobs:
            job.on_done = count_down
        self._scheduler.submit(*jobs)
        try:
            await done
        except asyncio.CancelledError:
            for job in jobs:
                job.abandoned = True
            raise

    def close(self) -> None:
        """Refuses further jobs; those that are still queued fail."""
        self._scheduler.close()
