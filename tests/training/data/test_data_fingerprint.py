"""`Ratings.fingerprint` is what it says, however it is computed."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.data import Ratings

LARGEST = 2**63 - 1

small_rows = st.tuples(st.integers(1, 4), st.integers(1, 4), st.floats(1, 5, width=32), st.integers(0, 3))
large_rows = st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST), st.floats(1, 5, width=32), st.integers(0, 3))
rows = st.lists(small_rows, max_size=12) | st.lists(small_rows | large_rows, max_size=12)


def ratings(rows: list[tuple[int, int, float, int]]) -> Ratings:
    return Ratings(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float32),
        np.array([row[3] for row in rows], np.int64),
    )


@given(rows)
def test_it_is_the_hash_of_the_sorted_columns(rows: list[tuple[int, int, float, int]]) -> None:
    rows_in_order = ratings(sorted(rows, key=lambda row: (row[0], row[1], row[3])))
    columns = (rows_in_order.user_ids, rows_in_order.item_ids, rows_in_order.values, rows_in_order.timestamps)
    expected = hashlib.sha256(b"".join(column.tobytes() for column in columns)).hexdigest()
    assert ratings(rows).fingerprint() == expected


def test_many_ratings() -> None:
    count = 300_000
    ids = np.arange(1, count + 1)
    ordered = Ratings(ids, ids % 7 + 1, np.full(count, 3, np.float32), ids)
    digest = hashlib.sha256()
    for column in (ordered.user_ids, ordered.item_ids, ordered.values, ordered.timestamps):
        digest.update(column.tobytes())
    shuffled = ordered.take(np.random.default_rng(1).permutation(count))
    assert shuffled.fingerprint() == ordered.fingerprint() == digest.hexdigest()
