"""What the queue has no room or no time for."""

import time

import pytest

from rankserve_server.drain_rate import work_of
from rankserve_server.errors import ExpiredError, OverloadedError
from server.queued_scoring import Scoring, assert_scored

SLOW_SECONDS = 0.005


@pytest.fixture
def scoring() -> Scoring:
    return Scoring()


class TestBound:
    def test_over_it_jobs_are_refused_and_can_come_back_later(self) -> None:
        scoring = Scoring(max_queued_candidates=100)
        accepted, refused = scoring.job(1, count=100), scoring.job(2, count=1)
        scoring.queue.add(accepted)
        with pytest.raises(OverloadedError, match=r"^100 candidates are queued and 100 are accepted; try") as caught:
            scoring.queue.add(refused)
        assert 0 < caught.value.retry_after < 10
        scoring.compute()
        scoring.queue.add(refused)
        scoring.compute()
        assert_scored(accepted, refused)

    def test_jobs_that_come_together_are_accepted_together_or_not_at_all(self) -> None:
        scoring = Scoring(max_queued_candidates=100)
        together = [scoring.job(user, count=50) for user in (1, 2)]
        scoring.queue.add(scoring.job(3))
        with pytest.raises(OverloadedError):
            scoring.queue.add(*together)
        assert scoring.queue.queued_candidates == 1
        scoring.queue.add(scoring.job(4, count=99))
        scoring.compute()
        assert scoring.engine.scored_users == [3, 4]
        assert not set(together) & set(scoring.done)

    def test_an_empty_queue_accepts_a_job_however_large(self) -> None:
        scoring = Scoring(max_queued_candidates=100)
        job = scoring.job(1, count=5_000)
        scoring.queue.add(job)
        with pytest.raises(OverloadedError):
            scoring.queue.add(scoring.job(2))
        scoring.compute()
        assert_scored(job)

    def test_the_more_is_queued_the_later_to_come_back(self, scoring: Scoring) -> None:
        waits = []
        for count in (10_000, 80_000):
            scoring.queue.add(scoring.job(1, count=count))
            with pytest.raises(OverloadedError) as caught:
                scoring.queue.add(scoring.job(2, count=100_000))
            waits.append(caught.value.retry_after)
        assert waits[1] / waits[0] == pytest.approx(work_of(90_000, 2) / work_of(10_000, 1))

    def test_the_time_to_come_back_follows_the_measured_speed(self, scoring: Scoring) -> None:
        slow(scoring)
        scoring.queue.add(scoring.job(1, count=1_000))
        with pytest.raises(OverloadedError) as caught:
            scoring.queue.add(scoring.job(2, count=100_000))
        least = SLOW_SECONDS * work_of(1_000, 1) / work_of(1, 1)
        assert least / 2 < caught.value.retry_after < 100

    def test_what_would_wait_too_long_is_refused(self) -> None:
        scoring = Scoring(max_queue_ms=10)
        slow(scoring)
        scoring.queue.add(scoring.job(1, count=1_000))  # nobody is before it
        with pytest.raises(OverloadedError, match=r"^the wait is \d+ ms and 10 ms are accepted; try again later$"):
            scoring.queue.add(scoring.job(2))
        scoring.compute()
        scoring.queue.add(scoring.job(2))

    def test_what_cannot_be_ready_by_its_deadline_is_refused(self, scoring: Scoring) -> None:
        slow(scoring)
        scoring.queue.add(scoring.job(1, count=1_000))
        with pytest.raises(
            OverloadedError, match=r"^the wait is \d+ ms and the deadline is in \d+ ms; try again later$"
        ):
            scoring.queue.add(scoring.job(2, deadline=time.monotonic() + SLOW_SECONDS))
        scoring.queue.add(scoring.job(3, deadline=time.monotonic() + 60))

    def test_nothing_needs_to_be_known_of_a_request_to_refuse_it(self) -> None:
        scoring = Scoring(max_queued_candidates=100)
        assert scoring.queue.refusal(time.monotonic() + 60) is None
        assert isinstance(scoring.queue.refusal(time.monotonic()), ExpiredError)
        scoring.queue.add(scoring.job(1, count=99))
        assert scoring.queue.refusal(time.monotonic() + 60) is None
        scoring.compute()
        scoring.queue.add(scoring.job(1, count=100))
        assert isinstance(scoring.queue.refusal(time.monotonic() + 60), OverloadedError)

    def test_one_of_which_nothing_is_known_is_taken_for_one_like_those_before_it(self) -> None:
        scoring = Scoring(max_queued_candidates=1_000)
        for _ in range(200):
            scoring.queue.add(scoring.job(1, count=400))
            scoring.compute()
        scoring.queue.add(scoring.job(1, count=400))
        assert scoring.queue.refusal(time.monotonic() + 60) is None
        scoring.queue.add(scoring.job(1, count=400))
        assert isinstance(scoring.queue.refusal(time.monotonic() + 60), OverloadedError)
        scoring.queue.add(scoring.job(1, count=200))  # this one is known to fit

    def test_others_that_are_about_to_come_count(self) -> None:
        scoring = Scoring(max_queue_ms=1_000)
        slow(scoring)
        deadline = time.monotonic() + 60
        assert scoring.queue.refusal(deadline, coming=1) is None
        assert isinstance(scoring.queue.refusal(deadline, coming=1_000), OverloadedError)

    def test_how_many_are_answered_in_some_time_follows_the_measured_speed(self, scoring: Scoring) -> None:
        slow(scoring)
        assert 0 < scoring.queue.answered_in(10 * SLOW_SECONDS) <= 10
        fast = Scoring()
        for _ in range(100):
            fast.queue.add(*(fast.job(user) for user in range(50)))
            fast.compute()
        assert fast.queue.answered_in(10 * SLOW_SECONDS) > 10

    def test_one_batch_that_was_held_up_changes_little(self) -> None:
        scoring = Scoring(max_queue_ms=200)
        for pause in (0.0, 0.5):
            scoring.engine.pause = pause
            scoring.queue.add(scoring.job(1))
            scoring.compute()
        scoring.queue.add(scoring.job(1))
        scoring.queue.add(scoring.job(2))


def slow(scoring: Scoring) -> None:
    """Makes the queue know that each request takes SLOW_SECONDS or more."""
    scoring.engine.pause = SLOW_SECONDS
    for _ in range(100):
        scoring.queue.add(scoring.job(1))
        scoring.compute()
    scoring.engine.pause = 0.0
