"""The queue of jobs, and how it becomes batches.

Work-conserving and without timers: while one batch is computed, jobs queue; the next batch is whatever is there. A long
job takes part in a batch with one slice and then queues again, so that it never holds up the short ones behind it for
longer than that.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rankserve_server.engine.engine import Engine
from rankserve_server.errors import ExpiredError, NotReadyError, OverloadedError
from rankserve_server.score_job import ScoreJob

_log = logging.getLogger(__name__)

_FIRST_RATE_GUESS = 500_000.0
_RATE_SMOOTHING = 0.1


@dataclass(eq=False)
class _Slice:
    """The candidates `start` to `stop` of a job."""

    job: ScoreJob
    start: int
    stop: int


class JobQueue:
    """Jobs that wait for the engine. Any thread may add some; one thread computes."""

    def __init__(self, max_queued_candidates: int) -> None:
        self._max_queued = max_queued_candidates
        self._jobs: deque[ScoreJob] = deque()
        self._queued = 0
        self._closed = False
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

    def compute_batch(self) -> list[ScoreJob]:
        """Scores the next batch.

        Returns:
            The jobs that are done with it, scored or failed; those whose caller has gone are dropped unscored.
        """
        with self.changed:
            done, batch = self._next_batch()
        if batch:
            started = time.monotonic()
            _compute(batch)
            self._measure(batch, time.monotonic() - started)
            with self.changed:
                done += self._take_back(batch)
        return done

    def fail_all(self) -> list[ScoreJob]:
        """Takes every job out; each has failed."""
        with self.changed:
            jobs = list(self._jobs)
            self._jobs.clear()
            self._queued = 0
        for job in jobs:
            job.error = NotReadyError("the server is shutting down")
        return jobs

    def _next_batch(self) -> tuple[list[ScoreJob], list[_Slice]]:
        """Takes as many jobs as fit, first come first served; beside them those that need no scoring any more."""
        dropped: list[ScoreJob] = []
        batch: list[_Slice] = []
        room = Engine.slice_rows
        now = time.monotonic()
        while self._jobs and room > 0:
            job = self._jobs[0]
            if job.abandoned or job.deadline <= now:
                job.error = ExpiredError("the deadline passed while the request was queued")
                dropped.append(job)
                self._queued -= job.remaining
            else:
                step = _slice_of(job)
                if batch and step.stop - step.start > room:
                    break
                batch.append(step)
                room -= step.stop - step.start
            self._jobs.popleft()
        return dropped, batch

    def _take_back(self, batch: list[_Slice]) -> list[ScoreJob]:
        """Queues the jobs again that are not done; returns the others."""
        done = []
        for step in batch:
            job = step.job
            self._queued -= step.stop - step.start
            job.scored = step.stop
            if job.error is not None:
                self._queued -= job.remaining
                done.append(job)
            elif job.remaining:
                self._jobs.append(job)
            else:
                done.append(job)
        return done

    def _measure(self, batch: list[_Slice], seconds: float) -> None:
        count = sum(step.stop - step.start for step in batch)
        if seconds > 0:
            self._candidates_per_second += _RATE_SMOOTHING * (count / seconds - self._candidates_per_second)


def _slice_of(job: ScoreJob) -> _Slice:
    start = job.scored
    return _Slice(job, start, min(job.count, start + job.engine.slice_rows))


def _compute(batch: list[_Slice]) -> None:
    """Scores a batch. Where a batch fails, its members are tried one by one, so that only the one at fault fails."""
    pairs: dict[Engine, list[_Slice]] = {}
    for step in batch:
        if step.job.item_rows is None:
            _guarded([step], _score_catalog)
        else:
            pairs.setdefault(step.job.engine, []).append(step)
    for steps in pairs.values():
        _guarded(steps, _score_pairs)


def _guarded(steps: list[_Slice], compute: Callable[[list[_Slice]], None]) -> None:
    try:
        compute(steps)
    except Exception as error:  # whatever it is, it must not end the thread
        if len(steps) == 1:
            _log.exception("Scoring failed.")
            steps[0].job.error = error
            return
        for step in steps:
            _guarded([step], compute)


def _score_catalog(steps: list[_Slice]) -> None:
    for step in steps:
        job = step.job
        job.keep(step.start, step.stop, job.engine.score_catalog(job.user_row, step.start, step.stop))


def _score_pairs(steps: list[_Slice]) -> None:
    """Scores slices of one engine as one batch."""
    engine = steps[0].job.engine
    count = sum(step.stop - step.start for step in steps)
    # Filled in place: joining arrays costs more than scoring a short request.
    users, items = np.empty(count, np.int32), np.empty(count, np.int32)
    place = 0
    for step in steps:
        end = place + step.stop - step.start
        users[place:end] = step.job.user_row
        items[place:end] = step.job.item_rows[step.start : step.stop]  # type: ignore[index]  # pairs have rows
        place = end
    scores = engine.score(users, items)
    place = 0
    for step in steps:
        end = place + step.stop - step.start
        step.job.keep(step.start, step.stop, scores[place:end])
        place = end
