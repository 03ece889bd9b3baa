"""Jobs that wait, with a fair share for each model: who floods a server with requests for one delays only its own.

Within a model first come is first served. Between models the next job is of the one that has been given least:
start-time fair queueing (Goyal, Vin and Cheng, 1996) with the shares all equal.
"""

from collections import deque

from rankserve_server.drain_rate import work_of
from rankserve_server.score_job import ScoreJob


class ModelQueue:
    """The jobs of one model.

    Attributes:
        waiting: those that no batch has taken, the next one first.
        candidates: of all jobs that are not done, those in batches too, what is not scored yet.
        requests: how many jobs that are.
        given: work that was done for it, or that it has missed while it had nothing to do.
    """

    __slots__ = ("candidates", "given", "requests", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[ScoreJob] = deque()
        self.candidates = 0
        self.requests = 0
        self.given = 0.0

    @property
    def work(self) -> int:
        """What its jobs cost, in candidates."""
        return work_of(self.candidates, self.requests)


class FairQueue:
    """The jobs of all models."""

    def __init__(self) -> None:
        self._models: dict[str, ModelQueue] = {}

    def __bool__(self) -> bool:
        return any(queue.waiting for queue in self._models.values())

    def of(self, model: str) -> ModelQueue:
        """The queue of a model."""
        queue = self._models.get(model)
        if queue is None:
            queue = self._models[model] = ModelQueue()
        return queue

    def add(self, job: ScoreJob) -> None:
        """Queues a new job, behind the others of its model."""
        queue = self.of(job.model)
        if not queue.requests:
            # Who had nothing to do has missed his turns.
            busy = [other.given for other in self._models.values() if other.requests]
            queue.given = max(queue.given, min(busy, default=0.0))
        queue.waiting.append(job)
        queue.candidates += job.count
        queue.requests += 1

    def add_again(self, job: ScoreJob) -> None:
        """Queues a job whose last slice has been scored, behind the others of its model."""
        self.of(job.model).waiting.append(job)

    def first(self) -> ScoreJob | None:
        """The next job; None where none waits."""
        queue = self._next()
        return None if queue is None else queue.waiting[0]

    def take(self, candidates: int) -> None:
        """Takes the first job out, of which so many candidates are computed next."""
        queue = self._next()
        if queue is None:
            raise IndexError("no job waits")
        queue.waiting.popleft()
        if candidates:
            queue.given += work_of(candidates, 1)

    def done(self, job: ScoreJob, candidates: int) -> None:
        """Forgets a job of which so many candidates were not scored, and never will be."""
        queue = self.of(job.model)
        queue.candidates -= candidates
        queue.requests -= 1

    def scored(self, job: ScoreJob, candidates: int) -> None:
        """Counts candidates that are scored."""
        self.of(job.model).candidates -= candidates

    def clear(self) -> list[ScoreJob]:
        """Takes out every job that waits."""
        jobs = [job for queue in self._models.values() for job in queue.waiting]
        self._models.clear()
        return jobs

    def share_of(self, model: str) -> float:
        """Which part of the engine a model gets with one more job: all of it where it is alone."""
        others = sum(bool(queue.requests) for name, queue in self._models.items() if name != model)
        return 1 / (1 + others)

    def least(self) -> str:
        """The model whose next job has the shortest wait."""
        return min(self._models, key=lambda name: self._models[name].work / self.share_of(name), default="")

    def _next(self) -> ModelQueue | None:
        if len(self._models) == 1:  # as it mostly is
            (queue,) = self._models.values()
            return queue if queue.waiting else None
        queues = [queue for queue in self._models.values() if queue.waiting]
        return min(queues, key=lambda queue: queue.given, default=None)
