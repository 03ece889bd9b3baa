"""Values, counted by bucket."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


class Distribution:
    """Counts values. One thread adds; any may read, and a value that is just being added may be missing in part.

    Attributes:
        bounds: upper bounds of the buckets, ascending; a value that is equal to one is in its bucket.
        counts: how many values are in each bucket, and how many above all of them.
        total: the sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Empty."""
        self.bounds = list(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def add_all(self, values: npt.NDArray[np.float32]) -> None:
        """Counts float32[n], finite."""
        places = np.searchsorted(self.bounds, values)
        for place, count in enumerate(np.bincount(places).tolist()):
            self.counts[place] += count
        self.total += float(values.sum(dtype=np.float64))

    def add_from(self, other: "Distribution") -> None:
        """Counts what another one with the same bounds has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
