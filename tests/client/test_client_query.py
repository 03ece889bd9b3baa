import dataclasses
from typing import Any

import pytest

from rankserve_client import NewItem, RankQuery


class Array:
    """What NumPy's, JAX's and pandas' arrays have in common."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def tolist(self) -> list[Any]:
        return self._values


@pytest.mark.parametrize(
    "candidates", [[3, 1], (3, 1), iter([3, 1]), {3: "", 1: ""}, Array([3, 1]), (item for item in (3, 1))]
)
def test_candidates_are_any_iterable(candidates: Any) -> None:
    assert RankQuery(42, candidates).candidates == (3, 1)


def test_numpy_arrays_and_integers_are_fine() -> None:
    numpy = pytest.importorskip("numpy")
    query = RankQuery(numpy.int32(42), numpy.array([3, 1]), exclude=numpy.array([1]), version=numpy.int64(2))
    assert query.candidates == (3, 1)
    assert query.exclude == (1,)
    assert all(type(item) is int for item in (query.candidates or ()))


def test_a_query_is_a_value() -> None:
    candidates = [3, 1]
    query = RankQuery(42, candidates, history={5: 4.0})
    candidates.append(7)
    assert query == RankQuery(42, (3, 1), history=[(5, 4.0)])
    assert hash(query) == hash(RankQuery(42, (3, 1), history=[(5, 4.0)]))
    with pytest.raises(AttributeError):
        query.user_id = 7  # type: ignore[misc]  # wrong on purpose


def test_what_is_known_of_users_and_items_is_copied() -> None:
    features, genres = {"gender": "F", "age": "24"}, ["Comedy"]
    new_items = [NewItem(7, genres, 1996)]
    query = RankQuery(42, [7], user_features=features, new_items=new_items)
    features["age"] = "25"
    genres.append("Drama")
    new_items.clear()
    same = RankQuery(
        42, [7], user_features=[("age", "24"), ("gender", "F")], new_items=(NewItem(7, ("Comedy",), 1996),)
    )
    assert query == same
    assert hash(query) == hash(same)
    assert dataclasses.replace(query, top_k=1).new_items == query.new_items
    with pytest.raises(AttributeError):
        NewItem(7).year = 1996  # type: ignore[misc]  # wrong on purpose


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("7",), TypeError, "`item_id` = '7'"),
        ((2**63,), ValueError, "`item_id` = 9223372036854775808"),
        ((7, "Comedy"), TypeError, "`genres` = 'Comedy'"),
        ((7, ["Comedy", None]), TypeError, "`genres` = ['Comedy', None]"),
        ((7, 5), TypeError, "`genres` = 5"),
        ((7, (), "1996"), TypeError, "`year` = '1996'"),
        ((7, (), 0), ValueError, "`year` = 0"),
        ((7, (), 2**31), ValueError, "`year` = 2147483648"),
    ],
)
def test_a_bad_new_item_is_named_with_its_value(arguments: tuple[Any, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        NewItem(*arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"user_id": "42"}, TypeError, "`user_id` = '42'"),
        ({"user_id": 4.0}, TypeError, "`user_id` = 4.0"),
        ({"user_id": True}, TypeError, "`user_id` = True"),
        ({"user_id": None}, TypeError, "`user_id` = None"),
        ({"user_id": 2**63}, ValueError, "`user_id` = 9223372036854775808"),
        ({"candidates": 7}, TypeError, "`candidates` = 7"),
        ({"candidates": []}, ValueError, "`candidates` is empty"),
        ({"candidates": Array([])}, ValueError, "`candidates` is empty"),
        ({"candidates": Array(7)}, TypeError, "`candidates` = 7"),  # type: ignore[arg-type]  # wrong on purpose
        ({"top_k": -1}, ValueError, "`top_k` = -1"),
        ({"top_k": 2**31}, ValueError, "`top_k` = 2147483648"),
        ({"top_k": None}, TypeError, "`top_k` = None"),
        ({"model": ""}, ValueError, "`model` = ''"),
        ({"model": 3}, ValueError, "`model` = 3"),
        ({"version": 0}, ValueError, "`version` = 0"),
        ({"version": "1"}, TypeError, "`version` = '1'"),
        ({"alias": ""}, ValueError, "`alias` = ''"),
        ({"version": 1, "alias": "stable"}, ValueError, "`version` or `alias`"),
        ({"history": 5}, TypeError, "`history` = 5"),
        ({"history": [5]}, TypeError, "`history` must hold pairs"),
        ({"history": [(5, 4.0, 3.0)]}, TypeError, "`history` must hold pairs"),
        ({"exclude": 5}, TypeError, "`exclude` = 5"),
        ({"order": "best"}, ValueError, "`order` = 'best'"),
        ({"unknown_user": "omit"}, ValueError, "`unknown_user` = 'omit'"),
        ({"unknown_items": "drop"}, ValueError, "`unknown_items` = 'drop'"),
        ({"rank_by": "likes"}, ValueError, "`rank_by` = 'likes'"),
        ({"rank_by": None}, ValueError, "`rank_by` = None"),
        ({"user_features": "age"}, TypeError, "`user_features` must hold pairs"),
        ({"user_features": 24}, TypeError, "`user_features` = 24"),
        ({"user_features": {"age": 24}}, TypeError, "`user_features` must hold strings only. Received: ('age', 24)"),
        ({"user_features": [("age", "24"), ("age", "25")]}, ValueError, "'age' again"),
        ({"new_items": 7}, TypeError, "`new_items` = 7"),
        ({"new_items": [7]}, TypeError, "`new_items` must hold `NewItem`s only. Received: 7"),
        ({"new_items": None}, TypeError, "`new_items` = None"),
    ],
)
def test_a_bad_argument_is_named_with_its_value(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        RankQuery(**{"user_id": 42, **options})
    assert words in str(caught.value)
