"""Rankings by a version that nobody hears: how they are compared, and that they take nothing from anybody."""

import itertools
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Plan, Ranking, RankQuery
from rankserve_server.versions.shadowing import ShadowScorer, common_places, kendall_tau, overlap
from server.fake_engine import FakeEngine, fake_score
from server.small_model import small_model

ITEMS = np.arange(1, 100, 3, dtype=np.int64)


class OneShadow:
    """A repository with one shadow, for every request."""

    def __init__(self, model: LoadedModel) -> None:
        self.model = model

    def shadow(self, answered: LoadedModel, chance: float) -> LoadedModel | None:
        assert 0 <= chance < 1
        return None if answered is self.model else self.model


def answer(model: LoadedModel, query: RankQuery) -> Ranking:
    plan = Plan(query, model)
    assert plan.item_rows is not None
    scores = [fake_score(plan.user_row, row) for row in plan.item_rows.tolist()]
    return plan.finish(np.array(scores, np.float32))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


@given(st.permutations(range(8)))
def test_tau_is_that_of_the_definition(places: list[int]) -> None:
    pairs = list(itertools.combinations(places, 2))
    expected = sum(1 if first < second else -1 for first, second in pairs) / len(pairs)
    assert kendall_tau(np.array(places)) == pytest.approx(expected)


@given(st.lists(st.integers(1, 20), unique=True), st.lists(st.integers(1, 20), unique=True))
def test_overlap_and_places(ids: list[int], others: list[int]) -> None:
    both = [id_ for id_ in ids if id_ in others]
    assert overlap(np.array(ids), np.array(others)) == pytest.approx(len(both) / len(ids) if ids else 1)
    places, other_places = common_places(np.array(ids, np.int64), np.array(others, np.int64))
    assert places.tolist() == [ids.index(id_) for id_ in both]
    assert other_places.tolist() == [others.index(id_) for id_ in both]


class TestScoring:
    def test_the_same_model_agrees_with_itself(self) -> None:
        answered, shadow = small_model(version=1), small_model(version=2)
        scorer = ShadowScorer(OneShadow(shadow))  # type: ignore[arg-type]  # all of a repository that it uses
        query = RankQuery(5, ITEMS)
        scorer.consider(answered, query, answer(answered, query))
        wait_for(lambda: (report := scorer.report(shadow)) is not None and report.compared == 1)
        report = scorer.report(shadow)
        scorer.stop()
        assert report is not None
        assert (report.overlap_at_10, report.kendall_tau, report.score_difference) == (1, 1, 0)

    def test_another_order_and_other_scores_are_seen(self) -> None:
        answered, shadow = small_model(version=1), small_model(version=2)
        scorer = ShadowScorer(OneShadow(shadow))  # type: ignore[arg-type]  # all of a repository that it uses
        query = RankQuery(5, ITEMS)
        own = answer(shadow, query)
        # What was answered: the reverse order, each with half a star more.
        reverse = Ranking(
            own.item_ids[::-1], own.item_rows[::-1], own.scores[::-1] + 0.5, None, None, [], [], True, own.user_basis
        )
        scorer.consider(answered, query, reverse)
        wait_for(lambda: scorer.report(shadow) is not None)
        wait_for(lambda: (report := scorer.report(shadow)) is not None and report.compared == 1)
        report = scorer.report(shadow)
        scorer.stop()
        assert report is not None
        assert report.kendall_tau == -1
        assert report.overlap_at_10 == pytest.approx(len({*own.item_ids[:10]} & {*own.item_ids[-10:]}) / 10)
        assert (report.score_difference, report.absolute_score_difference) == (-0.5, 0.5)

    def test_who_answers_does_not_wait_for_it(self) -> None:
        answered, shadow = small_model(version=1), small_model(version=2)
        assert isinstance(shadow.engine, FakeEngine)
        scorer = ShadowScorer(OneShadow(shadow))  # type: ignore[arg-type]  # all of a repository that it uses
        query = RankQuery(5, ITEMS)
        ranking = answer(answered, query)
        with shadow.engine.held():
            started = time.monotonic()
            for _ in range(1_000):
                scorer.consider(answered, query, ranking)
            assert time.monotonic() - started < 5  # it would be held for 30
            report = scorer.report(shadow)
            assert report is not None
            assert 1_000 - 40 < report.left_out < 1_000
        scorer.stop()

    def test_what_it_cannot_rank_is_counted(self) -> None:
        answered, shadow = small_model(version=1), small_model(version=2)
        assert isinstance(shadow.engine, FakeEngine)
        shadow.engine.poisoned.add(2)
        scorer = ShadowScorer(OneShadow(shadow))  # type: ignore[arg-type]  # all of a repository that it uses
        query = RankQuery(5, ITEMS)
        scorer.consider(answered, query, answer(answered, query))
        wait_for(lambda: (report := scorer.report(shadow)) is not None and report.failed == 1)
        scorer.stop()
        assert not [thread for thread in threading.enumerate() if thread.name == "rankserve-shadow"]

    def test_nobody_is_asked_without_a_shadow(self) -> None:
        model = small_model()
        scorer = ShadowScorer(OneShadow(model))  # type: ignore[arg-type]  # all of a repository that it uses
        query = RankQuery(5, ITEMS)
        scorer.consider(model, query, answer(model, query))
        assert scorer.report(model) is None
        scorer.stop()
