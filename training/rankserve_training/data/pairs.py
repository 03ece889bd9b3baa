"""Pairs of a user and an item as single numbers, which sort much faster than two columns."""

import numpy as np
import numpy.typing as npt

_LARGEST = 2**63 - 1


def pair_keys(user_ids: npt.NDArray[np.int64], item_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """A number for each pair: equal for equal pairs only, and ascending by user and then by item.

    Args:
        user_ids: int64[n], 0 or more each.
        item_ids: int64[n], likewise.

    Returns:
        int64[n], or None where the ids are so large that such numbers do not fit into 64 bits.
    """
    if not len(user_ids):
        return np.empty(0, np.int64)
    span = int(item_ids.max()) + 1
    if (int(user_ids.max()) + 1) * span > _LARGEST:
        return None
    keys = user_ids * np.int64(span)
    keys += item_ids
    return keys


def has_repeats(sorted_keys: npt.NDArray[np.int64]) -> bool:
    """Whether a number occurs twice in int64[n], which is in ascending order."""
    return bool((sorted_keys[1:] == sorted_keys[:-1]).any())
