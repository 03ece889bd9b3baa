"""Batches, fairness and accounting, with an engine that remembers what it was asked."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.engine.engine import Engine
from rankserve_server.errors import ExpiredError, NotReadyError, OverloadedError
from rankserve_server.score_job import ScoreJob
from server.fake_engine import FakeEngine, fake_score
from server.queued_scoring import Scoring, assert_scored

SLICE = Engine.slice_rows


@pytest.fixture
def scoring() -> Scoring:
    return Scoring()


class TestBatches:
    def test_what_waits_becomes_one_batch_across_users_and_lengths(self, scoring: Scoring) -> None:
        jobs = [scoring.job(user, count=user) for user in range(1, 11)]
        for job in jobs:
            scoring.queue.add(job)
        scoring.compute()
        assert_scored(*jobs)
        assert scoring.engine.batches == [[(job.user_row, item) for job in jobs for item in range(1, job.count + 1)]]
        assert scoring.done == jobs

    def test_a_batch_is_no_larger_than_a_slice_and_first_come_is_first_served(self, scoring: Scoring) -> None:
        jobs = [scoring.job(user, count=1_000) for user in (1, 2, 3, 4, 5)]
        scoring.queue.add(*jobs)
        scoring.compute()
        assert_scored(*jobs)
        assert [len(batch) for batch in scoring.engine.batches] == [2_000, 2_000, 1_000]
        assert scoring.done == jobs

    def test_jobs_of_different_versions_do_not_mix(self, scoring: Scoring) -> None:
        other = FakeEngine()
        jobs = [scoring.job(1), ScoreJob(other, 2, np.array([5], np.int32)), scoring.job(3)]
        scoring.queue.add(*jobs)
        scoring.compute()
        assert scoring.engine.batches == [[(1, 1), (3, 1)]]
        assert other.batches == [[(2, 5)]]
        assert jobs[1].scores.tolist() == [fake_score(2, 5)]

    @pytest.mark.parametrize("count", [SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 10_000])
    def test_long_jobs_are_scored_to_the_last_candidate(self, scoring: Scoring, count: int) -> None:
        job = scoring.job(1, count)
        scoring.queue.add(job)
        scoring.compute()
        assert_scored(job)
        last = [count % SLICE] if count % SLICE else []
        assert [len(batch) for batch in scoring.engine.batches] == [SLICE] * (count // SLICE) + last

    def test_a_long_job_holds_up_short_ones_for_one_slice_only(self, scoring: Scoring) -> None:
        long = scoring.job(1, count=10_000)
        short = [scoring.job(user, count=20) for user in range(2, 52)]
        scoring.queue.add(long)
        scoring.queue.add(*short)
        scoring.compute()
        assert_scored(long, *short)
        assert scoring.done == [*short, long]
        first, second = scoring.engine.batches[:2]
        assert {user for user, _ in first} == {1}
        assert {user for user, _ in second} >= set(range(2, 52))

    def test_long_jobs_take_turns(self, scoring: Scoring) -> None:
        scoring.queue.add(*(scoring.job(user, count=3 * SLICE) for user in (1, 2)))
        scoring.compute()
        assert scoring.engine.scored_users == [1, 2, 1, 2, 1, 2]

    def test_a_whole_catalogue_is_scored_in_place_and_counts_with_its_size(self, scoring: Scoring) -> None:
        scoring.engine.item_count = 2 * SLICE + 5
        job = scoring.catalog_job(3)
        scoring.queue.add(job)
        assert job.count == scoring.queue.queued_candidates == 2 * SLICE + 5
        scoring.compute()
        assert_scored(job)

    def test_scores_belong_to_their_job(self, scoring: Scoring) -> None:
        jobs = [scoring.job(user, count=10) for user in (1, 2)]
        scoring.queue.add(*jobs)
        scoring.compute()
        jobs[0].scores[:] = 0
        assert_scored(jobs[1])


class TestDropping:
    def test_a_job_whose_deadline_has_passed_is_never_computed(self, scoring: Scoring) -> None:
        now = time.monotonic()
        expired, alive = scoring.job(1, count=5_000, deadline=now), scoring.job(2, deadline=now + 60)
        scoring.queue.add(expired, alive)
        scoring.compute()
        assert isinstance(expired.error, ExpiredError)
        assert_scored(alive)
        assert scoring.engine.scored_users == [2]

    def test_a_job_whose_caller_has_gone_is_never_computed(self, scoring: Scoring) -> None:
        gone, alive = scoring.job(1, count=5_000), scoring.job(2)
        scoring.queue.add(gone, alive)
        gone.abandoned = True
        scoring.compute()
        assert set(scoring.done) == {gone, alive}
        assert gone.error is not None
        assert scoring.engine.scored_users == [2]

    def test_a_long_job_that_is_given_up_half_way_is_not_finished(self, scoring: Scoring) -> None:
        long = scoring.job(1, count=10_000)
        scoring.queue.add(long)
        scoring.compute_batch()
        assert scoring.done == []
        long.abandoned = True
        scoring.compute()
        assert scoring.done == [long]
        assert scoring.engine.scored_users == [1]
        assert scoring.queue.queued_candidates == 0


class TestFailing:
    def test_one_failing_job_fails_alone(self, scoring: Scoring) -> None:
        scoring.engine.poisoned.add(3)
        jobs = [scoring.job(user, count=10) for user in range(1, 6)]
        scoring.queue.add(*jobs)
        scoring.compute()
        assert isinstance(jobs[2].error, FloatingPointError)
        assert_scored(*jobs[:2], *jobs[3:])

    def test_a_failing_catalogue_fails_alone(self, scoring: Scoring) -> None:
        scoring.engine.poisoned.add(3)
        jobs = [scoring.job(1, count=10), scoring.catalog_job(3), scoring.catalog_job(2)]
        scoring.queue.add(*jobs)
        scoring.compute()
        assert isinstance(jobs[1].error, FloatingPointError)
        assert_scored(jobs[0], jobs[2])

    def test_a_long_job_that_fails_is_not_tried_to_its_end(self, scoring: Scoring) -> None:
        scoring.engine.poisoned.add(3)
        long = scoring.job(3, count=10_000)
        scoring.queue.add(long)
        scoring.compute()
        assert isinstance(long.error, FloatingPointError)
        assert len(scoring.engine.batches) == 1
        assert scoring.queue.queued_candidates == 0


class TestClosing:
    def test_what_is_queued_fails_and_nothing_more_is_accepted(self, scoring: Scoring) -> None:
        queued = [scoring.job(user) for user in (1, 2)]
        scoring.queue.add(*queued)
        scoring.queue.close()
        with pytest.raises(NotReadyError, match=r"^the server is shutting down$"):
            scoring.queue.add(scoring.job(3))
        assert scoring.queue.fail_all() == queued
        assert all(isinstance(job.error, NotReadyError) for job in queued)
        assert scoring.queue.queued_candidates == 0
        assert scoring.queue.fail_all() == []
        assert scoring.engine.batches == []


KINDS = ["fine", "catalogue", "expired", "abandoned", "poisoned"]


@settings(max_examples=60, deadline=None)
@given(
    wanted=st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 3 * SLICE)), min_size=1, max_size=12),
    computed_between=st.sets(st.integers(0, 12)),
)
def test_every_job_gets_its_own_answer_and_nothing_stays_behind(
    wanted: list[tuple[str, int]], computed_between: set[int]
) -> None:
    scoring = Scoring()
    scoring.engine.poisoned.update(range(1_000, 2_000))
    jobs = [job_of(scoring, number, kind, count) for number, (kind, count) in enumerate(wanted, start=1)]
    for number, job in enumerate(jobs):
        scoring.queue.add(job)
        if wanted[number][0] == "expired":
            job.deadline = 0.0
        if number in computed_between:
            scoring.compute_batch()
    scoring.compute()
    for job, (kind, _) in zip(jobs, wanted, strict=True):
        assert_answered(job, kind)
    assert sorted(map(id, scoring.done)) == sorted(map(id, jobs))
    assert scoring.queue.queued_candidates == 0
    assert max(map(len, scoring.engine.batches), default=0) <= SLICE


def job_of(scoring: Scoring, number: int, kind: str, count: int) -> ScoreJob:
    if kind == "catalogue":
        return scoring.catalog_job(number)
    user = number + 1_000 if kind == "poisoned" else number
    job = scoring.job(user, count)
    job.abandoned = kind == "abandoned"
    return job


def assert_answered(job: ScoreJob, kind: str) -> None:
    if kind in ("fine", "catalogue"):
        assert_scored(job)
    else:
        assert isinstance(job.error, FloatingPointError if kind == "poisoned" else ExpiredError)


def test_threads_may_add_while_one_computes_and_nothing_leaks() -> None:
    scoring = Scoring(max_queued_candidates=20_000)
    scoring.engine.poisoned.add(13)
    all_added = threading.Event()

    def compute() -> None:
        while not all_added.is_set() or scoring.queue:
            scoring.compute()
            time.sleep(0.0001)

    def add_many(seed: int) -> list[ScoreJob]:
        random = np.random.default_rng(seed)
        accepted = []
        for _ in range(150):
            deadline = time.monotonic() + float(random.choice([0.0, 0.001, 60.0], p=[0.1, 0.2, 0.7]))
            jobs = [
                scoring.job(int(random.integers(1, 20)), int(random.choice([1, 30, 300, 5_000])), deadline=deadline)
                for _ in range(random.integers(1, 4))
            ]
            try:
                scoring.queue.add(*jobs)
            except OverloadedError:
                time.sleep(0.001)
                continue
            accepted += jobs
            jobs[0].abandoned = random.random() < 0.2
        return accepted

    with ThreadPoolExecutor(5) as pool:
        computing = pool.submit(compute)
        accepted = [job for jobs in pool.map(add_many, range(4)) for job in jobs]
        all_added.set()
        computing.result()
    assert len(scoring.done) == len(accepted)
    assert set(scoring.done) == set(accepted)
    assert scoring.queue.queued_candidates == 0
    scored = [job for job in accepted if job.error is None]
    assert scored
    assert_scored(*scored)
    for job in accepted:
        assert job.error is None or job.user_row == 13 or job.abandoned or job.deadline < time.monotonic()
