"""Several models in one queue: each has its share of the engine, of the queue and of the time to wait."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.errors import OverloadedError
from rankserve_server.job_queue import JobQueue
from rankserve_server.score_job import ScoreJob
from server.fake_engine import FakeEngine

ENGINES = {name: FakeEngine() for name in "abc"}


def job(model: str, count: int, deadline: float = float("inf")) -> ScoreJob:
    items = np.ones(count, np.int32)
    return ScoreJob(ENGINES[model], 1, items, deadline, model=model)


def next_batch(queue: JobQueue) -> list[ScoreJob]:
    batch = queue.start_batch()
    assert batch is not None
    return queue.finish_batch(batch)


def test_one_model_does_not_wait_for_the_flood_of_another() -> None:
    queue = JobQueue(10_000_000)
    queue.add(*(job("a", 1_000) for _ in range(1_000)))
    next_batch(queue)
    single = job("b", 100)
    queue.add(single)
    assert single in next_batch(queue)


def test_who_had_nothing_to_do_has_saved_nothing() -> None:
    queue = JobQueue(10_000_000)
    queue.add(*(job("a", 1_000) for _ in range(500)))
    while queue.queued_candidates > 250_000:
        next_batch(queue)
    queue.add(*(job("b", 1_000) for _ in range(200)))
    models = [done.model for _ in range(20) for done in next_batch(queue)]
    assert abs(models.count("a") - models.count("b")) <= 2


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5_000)), min_size=1, max_size=60))
def test_every_job_is_done_once_and_in_the_order_of_its_model(wanted: list[tuple[str, int]]) -> None:
    queue = JobQueue(10_000_000)
    jobs = [job(model, min(count, 2_000)) for model, count in wanted]
    queue.add(*jobs)
    done: list[ScoreJob] = []
    while queue:
        done += next_batch(queue)
    assert len(done) == len(set(map(id, done))) == len(jobs)
    assert queue.queued_candidates == 0
    for model in "abc":
        own = [each for each in jobs if each.model == model]
        if all(each.count <= FakeEngine.slice_rows for each in own):  # else the rest of one queues again
            assert [each for each in done if each.model == model] == own


@settings(deadline=None)
@given(st.lists(st.integers(1, 400), min_size=60, max_size=60))
def test_shares_are_equal_whatever_the_sizes(sizes: list[int]) -> None:
    queue = JobQueue(10_000_000)
    queue.add(*(job("a", size) for size in sizes), *(job("b", 400) for _ in range(60)))
    given_to, left = {"a": 0, "b": 0}, {"a": 60, "b": 60}
    while True:
        for each in next_batch(queue):
            given_to[each.model] += each.count + 300  # a request by itself, see `drain_rate`
            left[each.model] -= 1
        if not all(left.values()):
            break
        # Never apart by more than a job.
        assert abs(given_to["a"] - given_to["b"]) <= 400 + 300


def test_a_full_queue_still_has_room_for_another_model() -> None:
    queue = JobQueue(10_000)
    queue.add(job("a", 10_000))
    with pytest.raises(OverloadedError):
        queue.add(job("a", 1))
    assert queue.refusal(float("inf")) is not None
    queue.add(job("b", 5_000))
    with pytest.raises(OverloadedError):
        queue.add(job("b", 1))


def test_the_wait_is_that_of_the_own_model() -> None:
    ENGINES["a"].pause = 0.02
    try:
        queue = JobQueue(10_000_000)
        queue.add(*(job("a", 2_000) for _ in range(400)))
        for _ in range(10):
            next_batch(queue)
        soon = time.monotonic() + 1.0
        with pytest.raises(OverloadedError):
            queue.add(job("a", 10, soon))
        queue.add(job("b", 10, soon))
        assert queue.refusal(soon) is None  # of whom nothing is known: he may want the other one
    finally:
        ENGINES["a"].pause = 0.0
