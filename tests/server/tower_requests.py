"""Requests to a version of two towers, of every kind."""

from hypothesis import strategies as st

from rankserve.v1 import ranking_pb2
from server.two_towers import ITEMS, USERS

_items = st.one_of(st.integers(1, ITEMS).map(lambda row: 5 * row), st.integers(1, 5 * ITEMS + 20))
_users = st.one_of(st.integers(1, USERS).map(lambda row: 3 * row), st.integers(-2, 3 * USERS + 5))
_features = st.fixed_dictionaries(
    {},
    optional={
        "age": st.sampled_from(["7", "18", "24", "35", "99", "unknown", ""]),
        "gender": st.sampled_from(["F", "M", "-"]),
    },
)
_genres = st.lists(st.sampled_from(["Comedy", "Drama", "War", "Opera", ""]), max_size=4)


@st.composite
def histories(draw: st.DrawFn, most: int = 40) -> ranking_pb2.History | None:
    items = draw(st.one_of(st.just([]), st.lists(_items, unique=True, max_size=most)))
    ratings = draw(st.lists(st.integers(2, 10), min_size=len(items), max_size=len(items)))
    return ranking_pb2.History(item_ids=items, ratings=[rating / 2 for rating in ratings]) if items else None


@st.composite
def new_items(draw: st.DrawFn, candidates: list[int]) -> list[ranking_pb2.NewItem]:
    ids = draw(st.lists(st.one_of(_items, st.sampled_from(candidates or [1])), unique=True, max_size=8))
    return [
        ranking_pb2.NewItem(item_id=id_, genres=draw(_genres), year=draw(st.sampled_from([0, 1950, 1980, 1999])))
        for id_ in ids
    ]


@st.composite
def requests(draw: st.DrawFn) -> ranking_pb2.RankRequest:
    candidates = draw(st.lists(_items, max_size=30))
    return ranking_pb2.RankRequest(
        user_id=draw(_users),
        candidate_ids=candidates,
        top_k=draw(st.one_of(st.integers(1, 120), st.just(0) if candidates else st.just(10))),
        history=draw(histories()),
        exclude_seen=draw(st.booleans()),
        exclude_ids=draw(st.lists(_items, max_size=5)),
        order=draw(st.sampled_from(ranking_pb2.Order.values())),
        unknown_items=draw(st.sampled_from([ranking_pb2.UNKNOWN_ITEMS_SCORE, ranking_pb2.UNKNOWN_ITEMS_OMIT])),
        rank_by=draw(st.sampled_from(ranking_pb2.RankBy.values())),
        user_features=draw(_features),
        new_items=draw(new_items(candidates)),
    )
