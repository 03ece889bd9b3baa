"""When batches are computed on the event loop, and who is in them."""

import asyncio

import numpy as np
import pytest

from rankserve_server.errors import NotReadyError
from rankserve_server.scheduler import Scheduler
from rankserve_server.score_job import ScoreJob
from server.fake_engine import FakeEngine

# Turns of the loop, more than the scheduler waits for another job.
TURNS = 50


class Caller:
    """Submits jobs to a scheduler and notes which are done."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.scheduler = Scheduler(100_000)
        self.done: list[int] = []

    def submit(self, user: int, candidates: int = 1) -> ScoreJob:
        """Queues a job of this user."""
        job = ScoreJob(self.engine, user, np.ones(candidates, np.int32))
        job.on_done = lambda _: self.done.append(user)
        self.scheduler.submit(job)
        return job

    async def turns(self, count: int = TURNS) -> None:
        """Lets the loop turn so often."""
        for _ in range(count):
            await asyncio.sleep(0)


async def test_jobs_that_come_one_by_one_are_computed_together() -> None:
    caller = Caller()
    for user in range(5):
        caller.submit(user)
        await caller.turns(5)
    assert not caller.engine.batches
    await caller.turns()
    assert len(caller.engine.batches) == 1
    assert caller.done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("jobs", "candidates"), [(32, 1), (3, 1_000)])
async def test_enough_of_them_wait_for_no_other(jobs: int, candidates: int) -> None:
    caller = Caller()
    for user in range(jobs):
        caller.submit(user, candidates)
    await caller.turns(2)
    assert caller.engine.batches


async def test_a_long_job_leaves_room_for_others() -> None:
    caller = Caller()
    long = caller.submit(1, 10 * FakeEngine.slice_rows)
    await caller.turns(2)
    short = caller.submit(2)
    await caller.turns(1_000)
    assert caller.done == [2, 1]
    assert (long.remaining, short.remaining) == (0, 0)


async def test_what_comes_after_a_rest_is_computed_too() -> None:
    caller = Caller()
    for user in range(3):
        caller.submit(user)
        await caller.turns()
    assert caller.done == [0, 1, 2]


async def test_closing_finishes_what_is_computed_and_fails_the_rest() -> None:
    caller = Caller()
    started = caller.submit(1, FakeEngine.slice_rows)
    while not caller.engine.batches:
        await caller.turns(1)
    queued = caller.submit(2)
    caller.scheduler.close()
    assert caller.done == [1, 2]
    assert started.error is None
    assert isinstance(queued.error, NotReadyError)
    with pytest.raises(NotReadyError):
        caller.submit(3)
    await caller.turns()
    assert caller.done == [1, 2]
