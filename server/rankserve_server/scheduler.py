"""Coalesces concurrent requests into batches.

Work-conserving and without timers: while one batch is computed, requests queue; the next batch is whatever is there.
A long job takes part in a batch with one slice at a time and then queues again, so that it never holds up the short
ones behind it for longer than that.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rankserve_server.engine.engine import Engine, Rows, Scores
from rankserve_server.errors import ExpiredError, NotReadyError, OverloadedError

_log = logging.getLogger(__name__)

_FIRST_RATE_GUESS = 500_000.0
_RATE_SMOOTHING = 0.1


@dataclass(eq=False)
class ScoreJob:
    """Candidates of one user to score, or the whole catalogue.

    Attributes:
        engine: of the version that answers.
        user_row: row of the user table.
        item_rows: int32[n] rows of the item table; None for all items, row 1 first.
        deadline: on the clock of `time.monotonic`; infinite where the caller has none.
        scores: float32[n], once it is done and did not fail.
        error: why it was not scored, once it is done and failed.
        abandoned: set by a caller that has gone; the job is then dropped before it costs anything.
        on_done: called by the owner of the scheduler's `deliver`, for its own use.
    """

    engine: Engine
    user_row: int
    item_rows: Rows | None
    deadline: float = float("inf")
    scores: Scores = field(init=False)
    error: Exception | None = None
    abandoned: bool = False
    on_done: Callable[["ScoreJob"], None] = lambda _job: None
    count: int = field(init=False)
    _scored: int = 0

    def __post_init__(self) -> None:
        self.count = self.engine.item_count if self.item_rows is None else len(self.item_rows)
        self.scores = np.empty(self.count, np.float32)

    @property
    def remaining(self) -> int:
        """How many candidates are not scored yet."""
        return self.count - self._scored


@dataclass(eq=False)
class _Slice:
    """The candidates `start` to `stop` of a job."""

    job: ScoreJob
    start: int
    stop: int


class Scheduler:
    """Scores jobs in batches on a thread of its own.

    `deliver` is called on that thread after each batch with the jobs that are done, scored or failed.
    """

    def __init__(self, deliver: Callable[[list[ScoreJob]], None], max_queued_candidates: int) -> None:
        self._deliver = deliver
        self._max_queued = max_queued_candidates
        self._changed = threading.Condition()
        self._jobs: deque[ScoreJob] = deque()
        self._queued = 0
        self._closed = False
        self._candidates_per_second = _FIRST_RATE_GUESS
        self._thread = threading.Thread(target=self._run, name="rankserve-scheduler", daemon=True)
        self._thread.start()

    def submit(self, *jobs: ScoreJob) -> None:
        """Queues jobs, all or none. A job is accepted by an empty queue however large it is.

        Raises:
            OverloadedError: where the queue would grow past its bound.
            NotReadyError: after `close`.
        """
        count = sum(job.count for job in jobs)
        with self._changed:
            if self._closed:
                raise NotReadyError("the server is shutting down")
            if self._queued and self._queued + count > self._max_queued:
                raise OverloadedError(
                    f"{self._queued} candidates are queued and {self._max_queued} are accepted; try again later",
                    retry_after=self._queued / self._candidates_per_second,
                )
            self._jobs.extend(jobs)
            self._queued += count
            self._changed.notify()

    def close(self) -> None:
        """Ends the thread after the batch that it computes; jobs that are still queued fail."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    break
                dropped, batch = self._next_batch()
            started = time.monotonic()
            _compute(batch)
            self._measure(batch, time.monotonic() - started)
            self._finish(dropped, batch)
        for job in self._jobs:
            job.error = NotReadyError("the server is shutting down")
        self._deliver(list(self._jobs))

    def _next_batch(self) -> tuple[list[ScoreJob], list[_Slice]]:
        """Takes as many jobs as fit, first come first served; also those that need no scoring any more."""
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

    def _finish(self, dropped: list[ScoreJob], batch: list[_Slice]) -> None:
        done = dropped
        with self._changed:
            for step in batch:
                job = step.job
                self._queued -= step.stop - step.start
                job._scored = step.stop
                if job.error is not None:
                    self._queued -= job.remaining
                    done.append(job)
                elif job.remaining:
                    self._jobs.append(job)
                else:
                    done.append(job)
        if done:
            self._deliver(done)

    def _measure(self, batch: list[_Slice], seconds: float) -> None:
        count = sum(step.stop - step.start for step in batch)
        if count and seconds > 0:
            self._candidates_per_second += _RATE_SMOOTHING * (count / seconds - self._candidates_per_second)


def _slice_of(job: ScoreJob) -> _Slice:
    start = job._scored
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
        job.scores[step.start : step.stop] = job.engine.score_catalog(job.user_row, step.start, step.stop)


def _score_pairs(steps: list[_Slice]) -> None:
    lengths = [step.stop - step.start for step in steps]
    users = np.repeat(np.array([step.job.user_row for step in steps], np.int32), lengths)
    items = np.concatenate([_rows(step) for step in steps])
    scores = steps[0].job.engine.score(users, items)
    start = 0
    for step, length in zip(steps, lengths, strict=True):
        step.job.scores[step.start : step.stop] = scores[start : start + length]
        start += length


def _rows(step: _Slice) -> Rows:
    assert step.job.item_rows is not None  # noqa: S101, only such slices come here
    return step.job.item_rows[step.start : step.stop]
