"""Computes what is queued, from a thread of its own."""

import threading
from collections.abc import Callable

from rankserve_server.job_queue import JobQueue
from rankserve_server.score_job import ScoreJob


class Scheduler:
    """Scores jobs in batches.

    `deliver` is called on the scheduler's thread after each batch with the jobs that are done, scored or failed.
    """

    def __init__(self, deliver: Callable[[list[ScoreJob]], None], max_queued_candidates: int) -> None:
        self._deliver = deliver
        self._queue = JobQueue(max_queued_candidates)
        self._thread = threading.Thread(target=self._run, name="rankserve-scheduler", daemon=True)
        self._thread.start()

    @property
    def queued_candidates(self) -> int:
        """How many candidates of accepted jobs are not scored yet."""
        return self._queue.queued_candidates

    def submit(self, *jobs: ScoreJob) -> None:
        """Queues jobs, all or none; see `JobQueue.add` for what it raises."""
        self._queue.add(*jobs)

    def close(self) -> None:
        """Ends the thread after the batch that it computes; jobs that are still queued fail."""
        self._queue.close()
        self._thread.join()

    def _run(self) -> None:
        queue = self._queue
        computing = None
        while computing or self._wait_for_jobs():
            # The next batch is computed while the answers of the last one go out.
            started = queue.start_batch() if not queue.closed else None
            if computing:
                self._hand_out(queue.finish_batch(computing))
            computing = started
        self._hand_out(queue.fail_all())

    def _hand_out(self, done: list[ScoreJob]) -> None:
        if done:
            self._deliver(done)

    def _wait_for_jobs(self) -> bool:
        """Waits until there are some; False once the queue is closed."""
        queue = self._queue
        with queue.changed:
            queue.changed.wait_for(lambda: queue or queue.closed)
        return not queue.closed
