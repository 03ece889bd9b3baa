"""The one way in to a data set, by name or out of files."""

from collections.abc import Callable
from pathlib import Path

from rankserve_training.data import movielens, movielens_sets, synthetic
from rankserve_training.data.dataset import Dataset, RatingScale
from rankserve_training.data.errors import DataError
from rankserve_training.data.files import load_files
from rankserve_training.data.movielens import load_movielens
from rankserve_training.data.synthetic import load_synthetic

DATASETS = (*movielens_sets.SETS, *synthetic.SIZES)


def load(
    dataset: str = movielens.NAME,
    *,
    ratings: Path | None = None,
    test_ratings: Path | None = None,
    items: Path | None = None,
    users: Path | None = None,
    scale: RatingScale | None = None,
    announce: Callable[[str], None] | None = None,
) -> Dataset:
    """The data set of this name or, where `ratings` is given, the one in these files.

    Args:
        dataset: one of `DATASETS`; not looked at where `ratings` is given.
        ratings: see `load_files`, as are the other files and the scale.
        test_ratings: only together with `ratings`.
        items: only together with `ratings`.
        users: only together with `ratings`.
        scale: only together with `ratings`.
        announce: called with lines that say where data is fetched from, if it is.

    Raises:
        DataError: if the name is unknown, the data cannot be fetched, or a file is broken.
    """
    if ratings is not None:
        return load_files(ratings, test_ratings=test_ratings, items=items, users=users, scale=scale)
    for option, value in (("test ratings", test_ratings), ("items", items), ("users", users), ("a scale", scale)):
        if value is not None:
            raise DataError(f"{option} can only be given together with a file of ratings (--ratings FILE)")
    if dataset not in DATASETS:
        raise DataError(f"there is no data set {dataset!r}; known: {', '.join(DATASETS)}")
    if dataset in synthetic.SIZES:
        return load_synthetic(dataset)
    return load_movielens(dataset, announce=announce)
