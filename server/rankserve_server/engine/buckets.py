"""The one rule for the shapes that are compiled: a batch is padded to the next bucket.

All are multiples of 8: XLA on the CPU gives the rows of other counts other last bits. Beyond one block they are whole
blocks, which are computed one after the other: what a block needs stays in the processor's cache, which makes a large
batch an eighth faster, and leaves the cache to those who carry the requests.
"""

from bisect import bisect_left
from collections.abc import Sequence

BLOCK_ROWS = 256
LARGEST_BUCKET = 8 * BLOCK_ROWS
BUCKETS: tuple[int, ...] = (8, 16, 32, 64, 128, 192, *range(BLOCK_ROWS, LARGEST_BUCKET + 1, BLOCK_ROWS))


def bucket_for(rows: int, buckets: Sequence[int] = BUCKETS) -> int:
    """The smallest of the ascending `buckets` that holds `rows` rows, 1 to the largest of them."""
    return buckets[bisect_left(buckets, rows)]
