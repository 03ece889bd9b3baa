"""Which rows a model is tested on. `random_split` is the tutorial's."""

import numpy as np

from rankserve_training.evaluation.per_user import Int64s
from rankserve_training.split import random_split

__all__ = ["fold_split", "k_folds", "random_split", "time_split"]


def k_folds(count: int, k: int, seed: int) -> tuple[Int64s, ...]:
    """Deals row numbers to k folds at random, so that each row is tested once.

    Args:
        count: how many ratings.
        k: folds, 2 to `count`.
        seed: of the shuffle.

    Returns:
        k arrays of row numbers, int64 each; their lengths differ by at most one.

    Raises:
        ValueError: where k is not between 2 and `count`.
    """
    if not 2 <= k <= count:
        raise ValueError(f"`k` should be from 2 to {count}, not {k}.")
    return tuple(np.array_split(np.random.default_rng(seed).permutation(count), k))


def fold_split(folds: tuple[Int64s, ...], tested: int) -> tuple[Int64s, Int64s]:
    """The rows to train on and those to test on where fold number `tested` (from 0) is held out."""
    return np.concatenate([*folds[:tested], *folds[tested + 1 :]]), folds[tested]


def time_split(timestamps: Int64s, test_share: float = 0.2) -> tuple[Int64s, Int64s]:
    """Holds the last ratings out, as in use: learnt from the past, tested on the future.

    Args:
        timestamps: int64[n], n at least 2; of equal ones those further on count as later.
        test_share: of the ratings, between 0 and 1; at least one rating is on either side.

    Returns:
        The row numbers to train on, and those to test on, by rising time: int64 each.

    Raises:
        ValueError: where there are fewer than 2 ratings or the share is not between 0 and 1.
    """
    count = len(timestamps)
    if count < 2 or not 0 < test_share < 1:
        raise ValueError("There should be 2 or more ratings, and `test_share` should be between 0 and 1.")
    order = np.argsort(timestamps, kind="stable")
    train_count = min(max(round(count * (1 - test_share)), 1), count - 1)
    return order[:train_count], order[train_count:]
