"""From ids, which may be any positive 64-bit integers, to the rows of a table."""

import numpy as np
import numpy.typing as npt

# A direct table costs 4 bytes for each id up to the largest one; beyond this many times the number of ids, a binary
# search over the ids alone is the better bargain.
_DIRECT_TABLE_SPAN = 8
_SMALL_TABLE = 65_536


class IdIndex:
    """Rows 1..n for n known ids in ascending order; row 0 stands for every id that is not known.

    It can be shared between threads.
    """

    def __init__(self, ids: npt.NDArray[np.int64]) -> None:
        """Indexes `ids`.

        Args:
            ids: int64[n], strictly ascending, 1 or more.

        Raises:
            ValueError: where the ids are not strictly ascending or one is not positive.
        """
        if len(ids) and (ids[0] < 1 or (ids[1:] <= ids[:-1]).any()):
            raise ValueError("`ids` should be positive and strictly ascending.")
        self.ids = ids
        largest = int(ids[-1]) if len(ids) else 0
        self._direct: npt.NDArray[np.int32] | None = None
        if largest < max(_SMALL_TABLE, _DIRECT_TABLE_SPAN * len(ids)):
            # One entry more than there are ids up to the largest: where larger ones are clipped to.
            self._direct = np.zeros(largest + 2, np.int32)
            self._direct[ids] = np.arange(1, len(ids) + 1, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The row of each id: int32, same length as `ids`, 0 where an id is not known. Any int64 is accepted."""
        if self._direct is not None:
            # Negative ids are clipped to 0, which is no id either.
            return self._direct.take(ids, mode="clip")
        places = np.searchsorted(self.ids, ids)
        places[places == len(self.ids)] = 0
        return np.where(self.ids[places] == ids, places + 1, 0).astype(np.int32)

    def row(self, id_: int) -> int:
        """The row of one id, 0 where it is not known. Any Python integer is accepted."""
        if self._direct is not None:
            return int(self._direct[id_]) if 0 <= id_ < len(self._direct) else 0
        place = int(np.searchsorted(self.ids, id_)) if id_ <= int(self.ids[-1]) else 0
        return place + 1 if int(self.ids[place]) == id_ else 0
