"""The best items of many users are those that Rank answers for each alone, to the last bit and in the same order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.errors import UnsupportedError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import RankBy, RankQuery, best_places_by_row
from rankserve_server.ranking_alone import rank_alone
from rankserve_server.scoring.scorer import Scorer
from rankserve_server.told import Ids

MANY = 100_000


def check(model: LoadedModel, users: Ids, items: Ids | None, top_k: int, rank_by: RankBy, exclude_seen: bool) -> None:
    found = list(Scorer(model, items, top_k, rank_by, exclude_seen).rank(users))
    place = 0
    user_ids, ranks, item_ids, scores = (
        np.concatenate([getattr(each, name) for each in found]) for name in ("user_ids", "ranks", "item_ids", "scores")
    )
    for user in users.tolist():
        query = RankQuery(user, items, top_k=top_k, rank_by=rank_by, exclude_seen=exclude_seen)
        expected = rank_alone(model, query)
        rows = slice(place, place + len(expected.item_ids))
        assert set(user_ids[rows].tolist()) <= {user}
        assert ranks[rows].tolist() == list(range(1, len(expected.item_ids) + 1))
        assert item_ids[rows].tolist() == expected.item_ids.tolist()
        assert scores[rows].tobytes() == expected.scores.tobytes()
        if expected.choice_scores is not None:
            choices = np.concatenate([each.choice_scores for each in found if each.choice_scores is not None])
            assert choices[rows].tobytes() == expected.choice_scores.tobytes()
        place = rows.stop
    assert place == len(user_ids)


@settings(max_examples=25)
@given(
    users=st.lists(st.one_of(st.integers(-3, 130), st.sampled_from([2**63 - 1, -(2**63)])), min_size=1, unique=True),
    items=st.none() | st.lists(st.integers(-2, 500), min_size=1, max_size=100, unique=True),
    top_k=st.sampled_from([1, 5, 89, MANY]),
    rank_by=st.sampled_from(list(RankBy)),
    exclude_seen=st.booleans(),
)
def test_as_rank(
    towers_model: LoadedModel,
    users: list[int],
    items: list[int] | None,
    top_k: int,
    rank_by: RankBy,
    exclude_seen: bool,
) -> None:
    listed = None if items is None else np.array(items)
    check(towers_model, np.array(users), listed, top_k, rank_by, exclude_seen)


@pytest.mark.parametrize("exclude_seen", [False, True])
@pytest.mark.parametrize("top_k", [10, MANY])
def test_more_users_than_are_scored_at_a_time(movielens: LoadedModel, top_k: int, exclude_seen: bool) -> None:
    check(movielens, np.arange(100), None, top_k, RankBy.UNSPECIFIED, exclude_seen)


def test_by_choice_needs_choices(movielens: LoadedModel) -> None:
    with pytest.raises(UnsupportedError):
        Scorer(movielens, None, 10, RankBy.CHOICE, exclude_seen=False)


@given(
    count=st.integers(1, 60),
    rows=st.integers(1, 4),
    levels=st.integers(0, 6),
    top_k=st.integers(1, 60),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_places_of_rows_are_those_of_a_stable_sort(
    count: int, rows: int, levels: int, top_k: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    scores = (random.integers(-levels, levels + 1, (rows, count)) / 8).astype(np.float32)
    scores[random.random(scores.shape) < 0.1] = -np.inf
    expected = [sorted(range(count), key=lambda place: (-row[place], place))[:top_k] for row in scores]
    assert best_places_by_row(scores, min(top_k, count)).tolist() == expected
