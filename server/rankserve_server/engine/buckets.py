"""The one rule for the shapes that are compiled.

A batch is padded to the next bucket. Buckets are powers of two from 8 up: with them, XLA on the CPU gives a row the
same bits in every bucket and at every place; 1, 2, 4 or 100 rows do not.
"""

SMALLEST_BUCKET = 8
LARGEST_BUCKET = 2_048
BUCKETS = tuple(1 << power for power in range(3, 12))


def bucket_for(rows: int) -> int:
    """The smallest bucket that holds `rows` rows, 1 to `LARGEST_BUCKET`."""
    return max(SMALLEST_BUCKET, 1 << (rows - 1).bit_length())
