"""Which ratings are trained on and which are held out for the test."""

import numpy as np
import numpy.typing as npt

from rankserve_training.data.tfds_quiet import quiet_tfds

TRAIN_SHARE = 0.8
# What TensorFlow takes as its global seed where none was set. Stating it keeps the split the same in a process that
# has set one.
_TENSORFLOW_DEFAULT_SEED = 87654321


def random_split(count: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Shuffles row numbers as the tutorial shuffles its ratings, and holds the last fifth out.

    The same as `ratings.shuffle(count, seed=seed, reshuffle_each_iteration=False)` of tf.data, followed by `take` and
    `skip`; for MovieLens 100K 80,000 rows to train on and 20,000 to test on.

    Args:
        count: how many ratings, 2 or more.
        seed: of the shuffle.

    Returns:
        The row numbers to train on, and those to test on, in shuffled order: int64 each.
    """
    with quiet_tfds():
        import tensorflow as tf
    tf.random.set_seed(_TENSORFLOW_DEFAULT_SEED)
    shuffled = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=False)
    order = next(iter(shuffled.batch(count))).numpy()
    train_count = min(max(round(count * TRAIN_SHARE), 1), count - 1)
    return order[:train_count], order[train_count:]
