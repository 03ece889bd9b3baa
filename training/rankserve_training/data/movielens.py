"""MovieLens through TFDS, whether or not GroupLens can be reached."""

from collections.abc import Callable
from pathlib import Path

from rankserve_training.data import recbole_wheel
from rankserve_training.data.dataset import Dataset
from rankserve_training.data.movielens_builder import MovielensBuilders
from rankserve_training.data.movielens_records import read_items, read_ratings
from rankserve_training.data.movielens_sets import SETS
from rankserve_training.data.movielens_sources import USUAL_SOURCES, Preparation, Sources
from rankserve_training.data.tfds_quiet import quiet_tfds

NAME = "movielens/100k"


def load_movielens(
    name: str = NAME,
    *,
    data_dir: Path | None = None,
    announce: Callable[[str], None] | None = None,
    sources: Sources = USUAL_SOURCES,
) -> Dataset:
    """MovieLens as `tfds.load("NAME-ratings")` and `tfds.load("NAME-movies")` give it, in their order.

    Once prepared, it is read from disk without any use of the network. Otherwise it is downloaded from GroupLens.
    Where that cannot be reached, MovieLens 100K is rebuilt from the package `recbole` of the configured package index;
    the examples are the same. There is no second source for the others. Safe to call from several processes at once,
    and to interrupt at any time.

    Args:
        name: a key of `SETS`, such as `movielens/25m`.
        data_dir: the TFDS data directory; None is TFDS' default, which heeds `TFDS_DATA_DIR`.
        announce: called with a line that says where the data is fetched from, and with another where preparing it takes
            minutes; not called if nothing is fetched.
        sources: where it is fetched from.

    Raises:
        KeyError: if there is no such name.
        DataError: if it can be fetched from no source, or what is prepared is damaged.
    """
    movielens_set = SETS[name]
    with quiet_tfds() as tfds:
        builders = MovielensBuilders(tfds, movielens_set, data_dir)
        Preparation(movielens_set, builders, sources, announce or _say_nothing).ensure()
        ratings, users = read_ratings(builders.ratings(), movielens_set.user_features)
        items = read_items(builders.movies(), builders.genre_names())
        is_rebuilt = movielens_set.is_in_recbole and not builders.used_archive
    return Dataset(
        name=name,
        source=f"TFDS, rebuilt from {recbole_wheel.REQUIREMENT}" if is_rebuilt else "TFDS, downloaded from GroupLens",
        ratings=ratings,
        test_ratings=None,
        items=items,
        users=users,
        scale=movielens_set.scale,
    )


def _say_nothing(_: str) -> None:
    pass
