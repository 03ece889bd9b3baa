"""The rule for the shapes that are compiled."""

import pytest

from rankserve_server.engine.buckets import BLOCK_ROWS, BUCKETS, LARGEST_BUCKET, bucket_for


@pytest.mark.parametrize("buckets", [BUCKETS, BUCKETS[2:], (8, 2_048), (2_048,)])
def test_every_number_of_rows_goes_into_the_smallest_bucket_that_holds_it(buckets: tuple[int, ...]) -> None:
    for rows in range(1, LARGEST_BUCKET + 1):
        assert bucket_for(rows, buckets) == min(bucket for bucket in buckets if bucket >= rows)


def test_buckets_are_those_that_the_rest_relies_on() -> None:
    assert list(BUCKETS) == sorted(set(BUCKETS))
    assert BUCKETS[0] == 8
    assert BUCKETS[-1] == LARGEST_BUCKET
    # Other row counts give a row other bits; see the module's docstring.
    assert all(bucket % 8 == 0 for bucket in BUCKETS)
    assert all(bucket % BLOCK_ROWS == 0 for bucket in BUCKETS if bucket > BLOCK_ROWS)


def test_at_most_a_block_of_a_large_batch_is_padding() -> None:
    for rows in range(BLOCK_ROWS + 1, LARGEST_BUCKET + 1):
        assert bucket_for(rows) - rows < BLOCK_ROWS
