"""The queue of jobs, and how it becomes batches.

Work-conserving and without timers: while one batch is computed, jobs queue; the next batch is whatever is there. A long
job takes part in a batch with one slice and then queues again, so that it never holds up the short ones behind it for
longer than that.

To compute is the engine's affair, on a thread of its own: whoever takes a batch starts it, does something else, and
finishes it.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence

from rankserve_server.engine.engine import Engine
from rankserve_server.errors import ExpiredError, NotReadyError, OverloadedError
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.score_job import ScoreJob
from rankserve_server.score_slice import Slice, next_slice

# Slices of a batch. With two, the calls that are answered together are twice as many, and so are those that arrive
# together: what the core does for each is less.
_BATCH_SLICES = 2
_FIRST_RATE_GUESS = 500_000.0
_RATE_SMOOTHING = 0.1


class JobQueue:
    """Jobs that wait for the engine. Any thread may add some; one thread starts and finishes batches."""

    def __init__(self, max_queued_candidates: int) -> None:
        self._max_queued = max_queued_candidates
        self._jobs: deque[ScoreJob] = deque()
        self._queued = 0
        self._closed = False
        self._computing = 0
        self._measured_at = 0.0
        self._candidates_per_second = _FIRST_RATE_GUESS
        # Held for a few microseconds, never while a batch is computed.
        self.changed = threading.Condition()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    @property
    def queued_candidates(self) -> int:
        """How many candidates of accepted jobs are not scored yet."""
        return self._queued

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def add(self, *jobs: ScoreJob) -> None:
        """Queues jobs, all or none. An empty queue accepts a job however large it is.

        Raises:
            OverloadedError: where the queue would grow past its bound.
            NotReadyError: after `close`.
        """
        count = sum(job.count for job in jobs)
        with self.changed:
            if self._closed:
                raise NotReadyError("the server is shutting down")
            if self._queued and self._queued + count > self._max_queued:
                raise OverloadedError(
                    f"{self._queued} candidates are queued and {self._max_queued} are accepted; try again later",
                    retry_after=self._queued / self._candidates_per_second,
                )
            self._jobs.extend(jobs)
            self._queued += count
            self.changed.notify()

    def close(self) -> None:
        """Refuses further jobs."""
        with self.changed:
            self._closed = True
            self.changed.notify()

    def start_batch(self) -> ScoreBatch | None:
        """Starts to score the next batch; None where nothing is queued."""
        with self.changed:
            if not self._jobs:
                return None
            slices, dropped = self._next_slices()
        if not self._computing:
            self._measured_at = time.monotonic()
        self._computing += 1
        return ScoreBatch(slices, dropped)

    def finish_batch(self, batch: ScoreBatch) -> list[ScoreJob]:
        """Waits for the oldest batch that was started.

        Returns:
            The jobs that are done with it, scored or failed, and those that were dropped.
        """
        batch.finish()
        self._computing -= 1
        self._measure(batch)
        with self.changed:
            return batch.dropped + self._take_back(batch.slices)

    def fail_all(self) -> list[ScoreJob]:
        """Takes every job out; each has failed."""
        with self.changed:
            jobs = list(self._jobs)
            self._jobs.clear()
            self._queued = 0
        for job in jobs:
            job.error = NotReadyError("the server is shutting down")
        return jobs

    def _next_slices(self) -> tuple[list[Slice], list[ScoreJob]]:
        """Takes as many jobs as fit, first come first served; beside them those that need no scoring any more."""
        slices: list[Slice] = []
        dropped: list[ScoreJob] = []
        room = _BATCH_SLICES * Engine.slice_rows
        now = time.monotonic()
        while self._jobs and room > 0:
            job = self._jobs[0]
            if job.abandoned or job.deadline <= now:
                job.error = ExpiredError("the deadline passed while the request was queued")
                dropped.append(job)
                self._queued -= job.remaining
            else:
                piece = next_slice(job)
                if slices and piece.count > room:
                    break
                slices.append(piece)
                room -= piece.count
            self._jobs.popleft()
        return slices, dropped

    def _take_back(self, slices: Sequence[Slice]) -> list[ScoreJob]:
        """Queues the jobs again that are not done; returns the others."""
        done = []
        for piece in slices:
            job = piece.job
            self._queued -= piece.count
            job.scored = piece.stop
            if job.error is not None:
                self._queued -= job.remaining
                done.append(job)
            elif job.remaining:
                self._jobs.append(job)
            else:
                done.append(job)
        return done

    def _measure(self, batch: ScoreBatch) -> None:
        """Notes how fast the queue empties: from one finished batch to the next, where there was always one."""
        now = time.monotonic()
        if batch.slices and now > self._measured_at:
            rate = batch.count / (now - self._measured_at)
            self._candidates_per_second += _RATE_SMOOTHING * (rate - self._candidates_per_second)
        self._measured_at = now
