"""Values, counted by bucket."""

import threading
from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

# To sort many values into buckets at once takes a tenth of what it takes one by one. Until then they are plain numbers:
# as objects they would take the processor's cache from what answers requests.
_MOST_PENDING = 512


class Distribution:
    """Counts values. One thread adds; any may read.

    Attributes:
        bounds: upper bounds of the buckets, ascending; a value that is equal to one is in its bucket.
    """

    __slots__ = ("_bounds", "_counts", "_pending", "_sorting", "_total", "bounds")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Empty."""
        self.bounds = list(bounds)
        self._bounds = np.array(self.bounds)
        self._counts = np.zeros(len(self.bounds) + 1, np.int64)
        self._total = 0.0
        self._pending = array("d")
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
        self._pending.append(value)
        if len(self._pending) >= _MOST_PENDING:
            with self._sorting:
                self._sort_pending()

    def extend(self, values: Iterable[float]) -> None:
        """Counts several."""
        self._pending.extend(values)
        if len(self._pending) >= _MOST_PENDING:
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
        count = len(self._pending)
        if count:
            self._sort(np.array(self._pending[:count]))
            del self._pending[:count]

    def _sort(self, values: npt.NDArray[np.floating]) -> None:
        places = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._total += float(values.sum(dtype=np.float64))
