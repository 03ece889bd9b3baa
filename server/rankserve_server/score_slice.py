"""The part of a job that one batch takes."""

from dataclasses import dataclass

from rankserve_server.score_job import ScoreJob


@dataclass(eq=False, slots=True)
class Slice:
    """The candidates `start` to `stop` of a job."""

    job: ScoreJob
    start: int
    stop: int

    @property
    def count(self) -> int:
        """How many candidates these are."""
        return self.stop - self.start


def next_slice(job: ScoreJob) -> Slice:
    """What a job has scored next."""
    start = job.scored
    stop = min(job.count, start + job.engine.slice_rows)
    if job.newcomer is not None:
        stop = job.newcomer.stop_of_slice(start, stop)
    return Slice(job, start, stop)
