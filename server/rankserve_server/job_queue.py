"""The queue of jobs, and how it becomes batches.

Work-conserving and without timers: while one batch is computed, jobs queue; the next batch is whatever is there. A long
job takes part in a batch with one slice and then queues again, so that it never holds up the short ones behind it for
longer than that.

Each model has a fair share, see `fair_queue`. Within it first come is first served, also where too much comes: what
would wait too long is refused as it comes, so that all who were accepted are answered in time. The last to come first
would answer some of them sooner, and let others wait for nothing.

To compute is the engine's affair, on a thread of its own: whoever takes a batch starts it, does something else, and
finishes it.
"""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankserve_server.drain_rate import REFUSAL_WORK, DrainRate, work_of
from rankserve_server.engine.engine import Engine
from rankserve_server.errors import ExpiredError, NotReadyError, OverloadedError, RequestError
from rankserve_server.fair_queue import FairQueue
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.score_job import ScoreJob
from rankserve_server.score_slice import Slice, next_slice

if TYPE_CHECKING:
    from rankserve_server.metrics.queue_counts import QueueCounts
    from rankserve_server.observing.call_observer import CallObserver

# Slices of a batch. With two, the calls that are answered together are twice as many, and so are those that arrive
# together: what the core does for each is less.
_BATCH_SLICES = 2
# A wait can turn out to be longer than measured: who has less than so many times of it left is refused.
_SAFE_WAITS = 2.0
_EXACT_MS = 100


class JobQueue:
    """Jobs that wait for the engine. Any thread may add some; one thread starts and finishes batches."""

    def __init__(
        self,
        max_queued_candidates: int,
        max_queue_ms: int = 0,
        counts: "QueueCounts | None" = None,
        observer: "CallObserver | None" = None,
    ) -> None:
        """Sets the bounds.

        Args:
            max_queued_candidates: of all jobs that wait.
            max_queue_ms: how long a job may have to wait, by what was measured; 0 for any time.
            counts: what becomes of jobs; None where nobody counts it.
            observer: who sees calls; None where nobody does.
        """
        self._max_queued = max_queued_candidates
        self._max_wait = max_queue_ms / 1e3 or float("inf")
        self._counts = counts
        self._observer = observer
        self._is_timed = counts is not None or observer is not None
        self._jobs = FairQueue()
        self._queued = 0
        self._requests = 0
        self._closed = False
        self._computing = 0
        self._measured_at = 0.0
        self._rate = DrainRate()
        # Held for a few microseconds, never while a batch is computed.
        self.changed = threading.Condition()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    @property
    def queued_candidates(self) -> int:
        """How many candidates of accepted jobs are not scored yet."""
        return self._queued

    def is_full_with(self, coming: int) -> bool:
        """Whether more is queued than is being computed and fits into the next batch, with so many more requests."""
        return self._queued + self._rate.usual_candidates(coming) > 2 * _BATCH_SLICES * Engine.slice_rows

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def add(self, *jobs: ScoreJob) -> None:
        """Queues jobs, all or none. An empty queue accepts a job however large it is.

        Raises:
            OverloadedError: where they would wait too long, or the queue would grow past its bound.
            NotReadyError: after `close`.
        """
        count = sum(job.count for job in jobs)
        with self.changed:
            if self._closed:
                raise NotReadyError("the server is shutting down")
            if self._requests and jobs:
                work = work_of(count, len(jobs))
                deadline = min(job.deadline for job in jobs)
                if not self._has_room(count, work, deadline):
                    refusal = self._refusal(jobs[0].model, count, work, deadline)
                    if refusal is not None:
                        raise refusal
            if self._is_timed:
                now = time.monotonic()
                for job in jobs:
                    job.queued_at = now
            for job in jobs:
                self._jobs.add(job)
            self._queued += count
            self._requests += len(jobs)
            self.changed.notify()

    def answered_in(self, seconds: float) -> int:
        """How many requests like the last ones are answered in so long where there always are some."""
        return int(self._rate.requests_in(seconds))

    @property
    def refusal_seconds(self) -> float:
        """How long it takes to refuse a request."""
        return self._rate.seconds_for(REFUSAL_WORK)

    def refusal(self, deadline: float, coming: int = 0) -> RequestError | None:
        """Why a request is refused of which nothing is known but its deadline: that costs less than to read it first.

        It is taken for one like those before it: to find out that it does not fit costs a third of answering it.

        Args:
            deadline: on the clock of `time.monotonic`.
            coming: how many others are about to be added.

        Returns:
            An error for what has no chance; None where there may be room.
        """
        if self._requests or coming:
            candidates, work = self._rate.usual_candidates(coming + 1), self._rate.usual_work(coming + 1)
            if self._has_room(candidates, work, deadline):
                return None
            return self._refusal(self._jobs.least(), candidates, work, deadline)
        if deadline > time.monotonic():
            return None
        if self._counts is not None:
            self._counts.dropped["deadline"] += 1
        return ExpiredError("the deadline has passed")

    def _has_room(self, candidates: int, work: float, deadline: float) -> bool:
        """Whether a request is accepted even where all that is queued is before it.

        It is asked for every request, mostly twice; what its own model has queued has to be known only where not.
        """
        wait = self._rate.seconds_for(work_of(self._queued, self._requests) + work)
        return (
            self._queued + candidates <= self._max_queued
            and wait <= self._max_wait
            and deadline - time.monotonic() >= _SAFE_WAITS * wait
        )

    def _refusal(self, model: str, candidates: int, work: float, deadline: float) -> OverloadedError | None:
        """Why a request for a model is not accepted that brings so many candidates and so much work."""
        queue, share = self._jobs.of(model), self._jobs.share_of(model)
        # What is before it: its model's own work while others have their share, and at most everything.
        before = min(queue.work / share, work_of(self._queued, self._requests))
        wait = self._rate.seconds_for(before + work)
        is_full = self._queued + candidates > self._max_queued
        if is_full and queue.candidates + candidates > share * self._max_queued:
            reason, problem = "queue_full", f"{self._queued} candidates are queued and {self._max_queued} are accepted"
        elif wait > self._max_wait:
            most = _rounded_ms(self._max_wait)
            reason, problem = "wait", f"the wait is {_rounded_ms(wait)} ms and {most} ms are accepted"
        elif (left := deadline - time.monotonic()) < _SAFE_WAITS * wait:
            problem = f"the wait is {_rounded_ms(wait)} ms and the deadline is in {_rounded_ms(left)} ms"
            reason = "deadline"
        else:
            return None
        if self._counts is not None:
            self._counts.refused[reason] += 1
        until_empty = self._rate.seconds_for(work_of(self._queued, self._requests))
        return OverloadedError(f"{problem}; try again later", retry_after=until_empty)

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
        if self._counts is not None:
            self._counts.finished(batch)
        if self._observer is not None:
            self._observer.batch_finished(batch)
        self._computing -= 1
        with self.changed:
            done = self._take_back(batch.slices)
        self._measure(batch, len(done))
        return batch.dropped + done

    def fail_all(self) -> list[ScoreJob]:
        """Takes every job out; each has failed."""
        with self.changed:
            jobs = self._jobs.clear()
            self._queued = 0
            self._requests = 0
        for job in jobs:
            job.error = NotReadyError("the server is shutting down")
        return jobs

    def _next_slices(self) -> tuple[list[Slice], list[ScoreJob]]:
        """Takes as many jobs as fit, first come first served; beside them those that need no scoring any more."""
        slices: list[Slice] = []
        dropped: list[ScoreJob] = []
        room = _BATCH_SLICES * Engine.slice_rows
        now = time.monotonic()
        while room > 0 and (job := self._jobs.first()) is not None:
            if job.abandoned or job.deadline <= now:
                job.error = ExpiredError("the deadline passed while the request was queued")
                if self._counts is not None:
                    self._counts.dropped["abandoned" if job.abandoned else "deadline"] += 1
                dropped.append(job)
                self._queued -= job.remaining
                self._requests -= 1
                self._jobs.take(0)
                self._jobs.done(job, job.remaining)
            else:
                piece = next_slice(job)
                if slices and piece.count > room:
                    break
                slices.append(piece)
                room -= piece.count
                self._jobs.take(piece.count)
                if self._is_timed and not job.scored:
                    job.started_at = now
                    if self._counts is not None:
                        self._counts.wait.pending.append(now - job.queued_at)
        return slices, dropped

    def _take_back(self, slices: Sequence[Slice]) -> list[ScoreJob]:
        """Queues the jobs again that are not done; returns the others."""
        done = []
        for piece in slices:
            job = piece.job
            self._queued -= piece.count
            self._jobs.scored(job, piece.count)
            job.scored = piece.stop
            if job.error is None and job.remaining:
                self._jobs.add_again(job)
            else:
                self._queued -= job.remaining
                self._jobs.done(job, job.remaining)
                done.append(job)
        self._requests -= len(done)
        return done

    def _measure(self, batch: ScoreBatch, requests: int) -> None:
        """Notes how fast the queue empties: from one finished batch to the next, where there was always one."""
        now = time.monotonic()
        if batch.slices:
            self._rate.measured(batch.count, requests, now - self._measured_at)
        self._measured_at = now


def _rounded_ms(seconds: float) -> int:
    """To two digits or so, that many may be refused in the same words: those are encoded once."""
    milliseconds = max(0, round(seconds * 1e3))
    return milliseconds if milliseconds < _EXACT_MS else round(milliseconds, -1)
