"""`IdIndex` against a dict."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.artifact import IdIndex

LARGEST = 2**63 - 1
# Small ids make dense tables, large ones are searched for; both, and what lies about their borders.
IDS = st.integers(1, 200) | st.integers(65_500, 65_600) | st.integers(1, LARGEST) | st.just(LARGEST)
INT64S = st.integers(-(2**63), LARGEST) | st.sampled_from([-(2**63), -1, 0, LARGEST])


@given(known=st.sets(IDS, max_size=60), strangers=st.lists(IDS | INT64S, max_size=20))
def test_every_id_has_its_place_and_every_other_0(known: set[int], strangers: list[int]) -> None:
    index = IdIndex(np.array(sorted(known), np.int64))
    expected = {id_: row for row, id_ in enumerate(sorted(known), start=1)}
    near = [id_ + step for id_ in known for step in (-1, 0, 1) if id_ + step <= LARGEST]
    queries = strangers + near
    rows = index.rows(np.array(queries, np.int64))
    assert rows.dtype == np.int32
    assert rows.tolist() == [expected.get(query, 0) for query in queries]
    assert [index.row(query) for query in queries] == rows.tolist()
    assert len(index) == len(known)


@given(known=st.sets(st.integers(1, 500), min_size=1), queries=st.lists(INT64S | st.integers(-5, 600)))
def test_both_ways_of_looking_up_agree(known: set[int], queries: list[int]) -> None:
    """With one huge id more, the same ids are searched for instead of looked up in a table."""
    table = IdIndex(np.array(sorted(known)))
    search = IdIndex(np.array([*sorted(known), LARGEST]))
    asked = np.array([query for query in queries if query != LARGEST], np.int64)
    assert search.rows(asked).tolist() == table.rows(asked).tolist()


@pytest.mark.parametrize("last", [65_535, 65_536, LARGEST])
def test_integers_past_64_bits_are_unknown(last: int) -> None:
    index = IdIndex(np.array([5, last]))
    assert [index.row(id_) for id_ in (-(2**70), -(2**63), -1, 0, 2**63, 2**70)] == [0] * 6
    assert index.row(last) == 2


def test_no_ids() -> None:
    index = IdIndex(np.array([], np.int64))
    assert len(index) == 0
    assert index.row(1) == 0
    assert index.rows(np.array([-1, 0, 1, LARGEST])).tolist() == [0, 0, 0, 0]
    assert IdIndex(np.array([3])).rows(np.array([], np.int64)).tolist() == []


@pytest.mark.parametrize("last", [30, LARGEST])
def test_a_view_of_every_other_id(last: int) -> None:
    index = IdIndex(np.array([10, 20, last]))
    assert index.rows(np.array([last, 0, 10, 0, 11, 0])[::2]).tolist() == [3, 1, 0]


@pytest.mark.parametrize("ids", [[0, 1], [-3, 5], [1, 1], [2, 1], [1, 5, 4]])
def test_ids_that_are_refused(ids: list[int]) -> None:
    with pytest.raises(ValueError, match="positive and strictly ascending"):
        IdIndex(np.array(ids))
