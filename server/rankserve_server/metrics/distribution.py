"""Values, counted by bucket."""

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# To sort many values into buckets at once takes a tenth of what it takes one by one.
_MOST_PENDING = 512


class Distribution:
    """Counts values. One thread adds; any may read.

    Attributes:
        bounds: upper bounds of the buckets, ascending; a value that is equal to one is in its bucket.
        pending: values that are not in their buckets yet. Who counts something of each request appends to it, and calls
            `sort_many` now and then: on that path every call of a function counts.
    """

    __slots__ = ("_bounds", "_counts", "_sorting", "_total", "bounds", "pending")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Empty."""
        self.bounds = list(bounds)
        self._bounds = np.array(self.bounds)
        self._counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._total = 0.0
        self.pending: list[float] = []
        self._sorting = threading.Lock()

    @property
    def counts(self) -> list[int]:
        """How many values are in each bucket, and how many above all of them."""
        with self._sorting:
            self._sort_pending()
            counts: list[int] = self._counts.tolist()
            return counts

    @property
    def total(self) -> float:
        """The sum of the values."""
        with self._sorting:
            self._sort_pending()
            return self._total

    def add(self, value: float) -> None:
        """Counts one value."""
        self.pending.append(value)
        self.sort_many()

    def sort_many(self) -> None:
        """Sorts what is pending, where that is enough to be worth it."""
        if len(self.pending) >= _MOST_PENDING:
            with self._sorting:
                self._sort_pending()

    def add_all(self, values: npt.NDArray[np.float32]) -> None:
        """Counts float32[n], finite."""
        with self._sorting:
            self._sort(values)

    def add_from(self, other: "Distribution") -> None:
        """Counts what another one with the same bounds has counted."""
        counts, total = other.counts, other.total
        with self._sorting:
            self._counts += counts
            self._total += total

    def _sort_pending(self) -> None:
        # One that is appended meanwhile stays for the next time.
        count = len(self.pending)
        if count:
            self._sort(np.array(self.pending[:count]))
            del self.pending[:count]

    def _sort(self, values: npt.NDArray[np.floating]) -> None:
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(values.sum(dtype=np.float64))
