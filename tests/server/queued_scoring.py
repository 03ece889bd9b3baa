"""A queue whose batches a test computes when it likes."""

import numpy as np

from rankserve_server.job_queue import JobQueue
from rankserve_server.score_job import ScoreJob
from server.fake_engine import FakeEngine, fake_score


class Scoring:
    """A queue, its engine, and the jobs that are done, in order."""

    def __init__(self, max_queued_candidates: int = 100_000, max_queue_ms: int = 0) -> None:
        self.engine = FakeEngine()
        self.queue = JobQueue(max_queued_candidates, max_queue_ms)
        self.done: list[ScoreJob] = []

    def job(self, user: int, count: int = 1, deadline: float = float("inf")) -> ScoreJob:
        return ScoreJob(self.engine, user, np.arange(1, count + 1, dtype=np.int32), deadline)

    def catalog_job(self, user: int) -> ScoreJob:
        return ScoreJob(self.engine, user, None)

    def compute(self) -> None:
        """Computes until nothing is queued."""
        while self.queue:
            self.compute_batch()

    def compute_batch(self) -> None:
        """Starts one batch and waits for it."""
        batch = self.queue.start_batch()
        assert batch is not None
        self.done += self.queue.finish_batch(batch)


def assert_scored(*jobs: ScoreJob) -> None:
    for job in jobs:
        assert job.error is None
        assert job.scores.dtype == np.float32
        items = range(1, job.count + 1)
        assert job.scores.tolist() == [fake_score(job.user_row, item) for item in items]
