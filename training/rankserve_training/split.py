"""Which ratings are trained on and which are held out for the test."""

import numpy as np
import numpy.typing as npt

from rankserve_training.data.tfds_quiet import quiet_tfds

TRAIN_SHARE = 0.8
# tf.data shuffles in a buffer that takes some 280 bytes a row: beyond so many rows the tutorial's order costs more than
# all the ratings do.
MOST_SHUFFLED_AS_THE_TUTORIAL = 1_000_000
# What TensorFlow takes as its global seed where none was set. Stating it keeps the split the same in a process that
# has set one.
_TENSORFLOW_DEFAULT_SEED = 87654321


def random_split(count: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Shuffles row numbers as the tutorial shuffles its ratings, and holds the last fifth out.

    The same as `ratings.shuffle(count, seed=seed, reshuffle_each_iteration=False)` of tf.data, followed by `take` and
    `skip`; for MovieLens 100K 80,000 rows to train on and 20,000 to test on. More than a million are shuffled by NumPy.

    Args:
        count: how many ratings, 2 or more.
        seed: of the shuffle.

    Returns:
        The row numbers to train on, and those to test on, in shuffled order: int64 each.
    """
    train_count = min(max(round(count * TRAIN_SHARE), 1), count - 1)
    if count > MOST_SHUFFLED_AS_THE_TUTORIAL:
        order = np.random.default_rng(seed).permutation(count)
        return order[:train_count], order[train_count:]
    with quiet_tfds():
        import tensorflow as tf
    tf.random.set_seed(_TENSORFLOW_DEFAULT_SEED)
    shuffled = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=False)
    order = next(iter(shuffled.batch(count))).numpy()
    return order[:train_count], order[train_count:]
