"""What a request brings along for rows that are in no table."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.newcomers import SLOTS, Bag, NewUser


@dataclass(slots=True, eq=False)
class NewcomerRows:
    """The rows of a job that are summed before they are scored.

    Attributes:
        user: the user's.
        items: those of new items; the first of them has the row behind the last one of the item table, and so on.
        places: intp[k], the places of new items among the candidates, ascending.
    """

    user: NewUser
    items: list[Bag]
    places: npt.NDArray[np.intp]

    def count(self, start: int, stop: int) -> int:
        """How many of the candidates `start` to `stop` are new items."""
        first, last = self.places.searchsorted([start, stop])
        return int(last - first)

    def stop_of_slice(self, start: int, stop: int) -> int:
        """Where a slice of these has to end, so that one call takes its new items: at `stop` or before."""
        behind = int(self.places.searchsorted(start)) + SLOTS
        return min(stop, int(self.places[behind])) if behind < len(self.places) else stop
