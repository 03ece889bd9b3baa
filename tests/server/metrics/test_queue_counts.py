"""What becomes of jobs: scored, refused or dropped, and why."""

import time

import numpy as np
import pytest

from rankserve_server.errors import OverloadedError
from rankserve_server.job_queue import JobQueue
from rankserve_server.metrics.queue_counts import QueueCounts
from rankserve_server.score_job import ScoreJob
from server.fake_engine import FakeEngine


def job(count: int = 1, deadline: float = float("inf"), engine: FakeEngine | None = None) -> ScoreJob:
    return ScoreJob(engine or FakeEngine(), 1, np.arange(1, count + 1, dtype=np.int32), deadline)


def compute(queue: JobQueue) -> None:
    while queue:
        batch = queue.start_batch()
        assert batch is not None
        queue.finish_batch(batch)


def test_batches_and_waits_are_counted() -> None:
    counts, engine = QueueCounts(), FakeEngine()
    queue = JobQueue(100_000, counts=counts)
    queue.add(job(10, engine=engine), job(20, engine=engine))
    time.sleep(0.03)
    compute(queue)
    assert (counts.rows, counts.padding) == (30, 0)
    assert (sum(counts.batch_rows.counts), counts.batch_rows.total) == (1, 30)
    assert counts.batch_requests.total == 2
    assert sum(counts.wait.counts) == 2
    assert 0.06 <= counts.wait.total < 10


def test_a_long_job_waits_once() -> None:
    counts = QueueCounts()
    queue = JobQueue(100_000, counts=counts)
    queue.add(job(20_000))
    compute(queue)
    assert sum(counts.wait.counts) == 1
    assert counts.rows == 20_000
    assert sum(counts.batch_rows.counts) > 1


def test_why_somebody_is_refused_is_counted() -> None:
    counts = QueueCounts()
    queue = JobQueue(100, max_queue_ms=1, counts=counts)
    queue.add(job(100))
    with pytest.raises(OverloadedError, match="candidates are queued"):
        queue.add(job(1))
    assert counts.refused == {"queue_full": 1, "wait": 0, "deadline": 0}
    roomy = JobQueue(1_000_000, max_queue_ms=1, counts=counts)
    roomy.add(job(100_000))
    assert roomy.refusal(float("inf")) is not None
    patient = JobQueue(1_000_000, counts=counts)
    patient.add(job(100_000))
    assert patient.refusal(time.monotonic() + 0.001) is not None
    assert counts.refused == {"queue_full": 1, "wait": 1, "deadline": 1}


def test_whom_nobody_waits_for_is_counted() -> None:
    counts = QueueCounts()
    queue = JobQueue(100_000, counts=counts)
    gone, late = job(), job(deadline=time.monotonic() + 0.05)
    queue.add(gone, late)
    gone.abandoned = True
    time.sleep(0.06)
    compute(queue)
    assert queue.refusal(time.monotonic() - 1) is not None  # too late as it comes
    assert counts.dropped == {"deadline": 2, "abandoned": 1}
    assert not sum(counts.batch_rows.counts)
