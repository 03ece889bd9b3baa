"""The arrays that go into an engine and come out of it."""

from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


class PendingScores:
    """Scores that are being computed.

    Attributes:
        rows: how many pairs are computed, those that only fill up the shape too.
    """

    __slots__ = ("_computed", "_start", "_stop", "rows")

    def __init__(self, computed: Any, start: int, stop: int, rows: int) -> None:
        """The pairs `start` to `stop` of the `rows` that a compiled call returned."""
        self.rows = rows
        self._computed = computed
        self._start = start
        self._stop = stop

    def result(self) -> Scores:
        """Waits for the scores: float32[n], or float32[2, n] where the model has choices. The GIL is free meanwhile."""
        return np.asarray(self._computed)[..., self._start : self._stop]


def padded(rows: Rows, length: int) -> Rows:
    """The rows with zeros behind them: int32[length]."""
    longer = np.zeros(length, np.int32)
    longer[: len(rows)] = rows
    return longer
