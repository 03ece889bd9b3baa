"""Recommendations from the whole catalogue, against plain Python."""

from math import log2

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_training.baselines import Popularity, popularity
from rankserve_training.evaluation import catalogue
from rankserve_training.evaluation.catalogue import evaluate_recommending, recommend
from rankserve_training.evaluation.per_user import ItemsByUser
from training.evaluation.cases import GivenScorer, Row, as_pairs, rated_rows

USERS, ITEMS = 6, 25


@given(train=rated_rows(USERS, ITEMS, 0), test=rated_rows(USERS, ITEMS, 0), seed=st.integers(0, 99))
@settings(deadline=None)
def test_against_plain_python(train: list[Row], test: list[Row], seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = np.stack([random.permutation(ITEMS + 1) for _ in range(USERS + 1)]).astype(np.float32)
    found = evaluate_recommending(GivenScorer(matrix), as_pairs(train), as_pairs(test), USERS, ITEMS)
    expected, shown_to_anybody = {}, set()
    for user in range(1, USERS + 1):
        seen = {item for who, item, _ in train if who == user}
        relevant = {item for who, item, _ in test if who == user} - seen - {0}
        if not relevant:
            continue
        unseen = [item for item in range(1, ITEMS + 1) if item not in seen]
        shown = sorted(unseen, key=lambda item: -matrix[user, item])[:10]
        shown_to_anybody.update(shown)
        hits = [place for place, item in enumerate(shown, 1) if item in relevant]
        ideal = sum(1 / log2(place + 1) for place in range(1, min(len(relevant), 10) + 1))
        ndcg = sum(1 / log2(place + 1) for place in hits) / ideal
        expected[user] = (ndcg, len(hits) / len(relevant), len(hits) / 10)
    for number, name in enumerate(("catalogue_ndcg_at_10", "recall_at_10", "precision_at_10")):
        measured = getattr(found, name)
        assert measured.users.tolist() == list(expected)
        assert measured.values.tolist() == pytest.approx([values[number] for values in expected.values()])
    assert found.coverage == pytest.approx(len(shown_to_anybody) / ITEMS)


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    matrix = random.integers(0, 4, (40, 31)).astype(np.float32)
    rows = [
        (int(user), int(item), 1.0)
        for user, item in zip(random.integers(1, 40, 600), random.integers(1, 31, 600), strict=True)
    ]
    train, test = as_pairs(rows[:400]), as_pairs(rows[400:])
    whole = evaluate_recommending(GivenScorer(matrix), train, test, 39, 30)
    monkeypatch.setattr(catalogue, "_CELLS", 100)
    blocks = evaluate_recommending(GivenScorer(matrix), train, test, 39, 30)
    assert blocks.recall_at_10.values.tolist() == whole.recall_at_10.values.tolist()
    assert blocks.coverage == whole.coverage


def test_ties_are_broken_alike_and_not_by_row() -> None:
    """Of thirty equal items, any model shows the same ten, and these are not the first ten."""
    nothing_seen = ItemsByUser.of(as_pairs([]), 3)
    first, second = (
        recommend(GivenScorer(np.full((4, 31), value, np.float32)), np.array([1, 2, 3], np.int32), nothing_seen, 30)
        for value in (0.0, 7.0)
    )
    assert first.tolist() == second.tolist()
    assert first[0].tolist() == first[1].tolist() == first[2].tolist()
    assert len(set(first[0].tolist())) == 10
    assert set(first[0].tolist()) != set(range(1, 11))


def test_a_tie_at_the_end_of_the_ten() -> None:
    matrix = np.zeros((2, 31), np.float32)
    matrix[1, 3:11] = np.arange(8, 0, -1)  # eight are clearly first
    shown = recommend(GivenScorer(matrix), np.array([1], np.int32), ItemsByUser.of(as_pairs([]), 1), 30)[0].tolist()
    assert shown[:8] == list(range(3, 11))
    assert len(set(shown)) == 10


def test_nothing_but_what_may_be_shown() -> None:
    """Of twelve items, one is seen and another is never shown, by a preference of -inf; unknown items do not matter."""
    matrix = np.arange(13, dtype=np.float32)[np.newaxis].repeat(3, axis=0)
    matrix[1, 12] = -np.inf
    seen = ItemsByUser.of(as_pairs([(1, 11, 1), (1, 0, 1), (0, 3, 1), *((2, item, 1) for item in range(2, 13))]), 2)
    shown = recommend(GivenScorer(matrix), np.array([1, 2], np.int32), seen, 12)
    assert shown.tolist() == [list(range(10, 0, -1)), [1] + [0] * 9]
    few = recommend(GivenScorer(matrix[:, :4]), np.array([0], np.int32), ItemsByUser.of(as_pairs([]), 2), 3)
    assert few.tolist() == [[3, 2, 1] + [0] * 7]


def test_nobody_is_tested() -> None:
    found = evaluate_recommending(
        GivenScorer(np.zeros((2, 4), np.float32)), as_pairs([(1, 1, 1)]), as_pairs([(1, 1, 1)]), 1, 3
    )
    assert (len(found.recall_at_10), len(found.catalogue_ndcg_at_10), found.coverage) == (0, 0, 0)


def test_popularity_recommends_what_is_rated_most() -> None:
    """It answers with a read-only array. Item 0 is many items, and is never recommended."""
    train = as_pairs([(1, 3, 1), (2, 3, 1), (2, 5, 5), (3, 0, 1), (3, 0, 1), (3, 0, 1)])
    model: Popularity = popularity(train, 12)
    assert model.counts.tolist() == [0, 0, 0, 2, 0, 1, *[0] * 7]
    shown = recommend(model, np.array([3], np.int32), ItemsByUser.of(train, 3), 12)[0].tolist()
    assert shown[:2] == [3, 5]
    assert model.score(as_pairs([(1, 3, 1), (1, 0, 1)])).tolist() == [2, 0]


@pytest.mark.parametrize(("matrix", "items"), [(np.full((2, 4), np.nan), 3), (np.zeros((2, 4)), 4)])
def test_preferences_that_are_refused(matrix: npt.NDArray[np.float32], items: int) -> None:
    with pytest.raises(ValueError, match="Preferences should"):
        recommend(GivenScorer(matrix), np.array([1], np.int32), ItemsByUser.of(as_pairs([]), 1), items)
