"""The one rule for the shapes that are compiled: a batch is padded to the next bucket.

All are multiples of 8: XLA on the CPU gives the rows of other counts other last bits. Steps are fine enough that at
most a third of a large batch is padding.
"""

from bisect import bisect_left
from collections.abc import Sequence

BUCKETS: tuple[int, ...] = (8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1_024, 1_536, 2_048)
LARGEST_BUCKET = BUCKETS[-1]


def bucket_for(rows: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest of the ascending `buckets` that holds `rows` rows, 1 to the largest of them."""
    return buckets[bisect_left(buckets, rows)]
