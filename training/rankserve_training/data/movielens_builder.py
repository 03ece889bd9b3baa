"""TFDS' own MovieLens 100K builders: are they prepared, preparing them, reading them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.data.dataset import Int64s, Items, Ratings, Users
from rankserve_training.data.errors import DataError
from rankserve_training.data.tfds_quiet import no_prints

RATINGS = "100k-ratings"
MOVIES = "100k-movies"

_EXAMPLES = {RATINGS: 100_000, MOVIES: 1_682}
# What is read of a rating, and the type that it has in TFDS' records.
_RATING_COLUMNS = {
    "user_id": "string",
    "movie_id": "string",
    "user_rating": "float32",
    "timestamp": "int64",
    "raw_user_age": "float32",
    "user_gender": "int64",
    "user_occupation_text": "string",
    "user_zip_code": "string",
}


def builder(tfds: Any, config: str, data_dir: Path | None) -> Any:
    """The builder that `tfds.load("movielens/CONFIG")` uses; `data_dir` None is TFDS' default."""
    return tfds.builder(f"movielens/{config}", data_dir=None if data_dir is None else str(data_dir))


def is_prepared(tfds: Any, data_dir: Path | None) -> bool:
    """Whether both the ratings and the movies are there.

    TFDS gives a directory its name only when it is complete, so one that is there is whole.
    """
    return all(builder(tfds, config, data_dir).is_prepared() for config in _EXAMPLES)


def root(tfds: Any, data_dir: Path | None) -> Path:
    """The TFDS data directory itself."""
    # DATA_DIR/movielens/CONFIG/VERSION
    return Path(builder(tfds, RATINGS, data_dir).data_path).parents[2]


def archive_sha256(tfds: Any) -> str:
    """The hash that TFDS has registered for GroupLens' archive."""
    ratings = builder(tfds, RATINGS, None)
    return str(ratings.url_infos[ratings.builder_config.download_url].checksum)


def prepare(tfds: Any, data_dir: Path | None) -> None:
    """Lets TFDS prepare what is missing, from the archive in its directory for manual downloads."""
    for config in _EXAMPLES:
        with no_prints():
            builder(tfds, config, data_dir).download_and_prepare()


def prepare_from_files(tfds: Any, data_dir: Path | None, files: Path) -> None:
    """Lets TFDS prepare what is missing from files in a directory, as if it had unpacked them from the archive."""
    for config in _EXAMPLES:
        with no_prints():
            _local_builder(tfds, config, data_dir, files).download_and_prepare()


def read_ratings(tfds: Any, data_dir: Path | None) -> tuple[Ratings, Users]:
    """The ratings in TFDS' order, and the users in them.

    Raises:
        DataError: if what is on disk is damaged.
    """
    columns = _read_columns(tfds, data_dir)
    ratings = Ratings(
        user_ids=_ids(columns["user_id"]),
        item_ids=_ids(columns["movie_id"]),
        values=columns["user_rating"].astype(np.float32),
        timestamps=columns["timestamp"].astype(np.int64),
    )
    return ratings, _users(ratings.user_ids, columns)


def read_items(tfds: Any, data_dir: Path | None) -> Items:
    """The movies, ascending by id.

    Raises:
        DataError: if what is on disk is damaged.
    """
    genre_names = builder(tfds, MOVIES, data_dir).info.features["movie_genres"].feature.names
    movies = sorted(_read_movies(tfds, data_dir), key=lambda movie: int(movie["movie_id"]))
    return Items(
        ids=np.array([int(movie["movie_id"]) for movie in movies], np.int64),
        # Three of the originals end with a blank.
        titles=tuple(movie["movie_title"].decode("utf-8").strip() for movie in movies),
        genres=tuple(tuple(genre_names[label] for label in movie["movie_genres"]) for movie in movies),
    )


def is_rebuilt(tfds: Any, data_dir: Path | None) -> bool:
    """Whether what is prepared was rebuilt: TFDS keeps the size of the archive, and there was none."""
    return int(builder(tfds, RATINGS, data_dir).info.download_size) == 0


def _local_builder(tfds: Any, config: str, data_dir: Path | None, files: Path) -> Any:
    """A builder that differs from TFDS' own only in where its files come from.

    TFDS has no public way to prepare from a directory: an archive of rebuilt files would fail the check of its hash.
    But `_split_generators` is the method that TFDS documents for a builder to say where its data is, and this is all
    that has to change; parsing, features, encoding and file names stay TFDS' own.
    """
    original = type(builder(tfds, config, data_dir))

    class LocalMovielens(original, skip_registration=True):  # type: ignore[call-arg, misc, valid-type]
        name = original.name

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:  # noqa: ARG002
            return {"train": self._generate_examples(str(files))}

    # TFDS notes the module in dataset_info.json, and finds a builder's registered downloads by it.
    LocalMovielens.__module__ = original.__module__
    return LocalMovielens(config=config, data_dir=None if data_dir is None else str(data_dir))


def _read_columns(tfds: Any, data_dir: Path | None) -> dict[str, npt.NDArray[Any]]:
    """The ratings by column, parsed in bulk from the records that TFDS has written, in their order.

    `tfds.load` gives the same but parses one example at a time: 4 s instead of 0.3 s.
    """
    import tensorflow as tf

    found = builder(tfds, RATINGS, data_dir)
    files = [str(file) for file in found.info.splits["train"].filepaths]
    # A generous batch, so that a shortened or lengthened file is noticed by its count.
    kinds = {name: tf.io.FixedLenFeature((), kind) for name, kind in _RATING_COLUMNS.items()}
    try:
        records = next(iter(tf.data.TFRecordDataset(files).batch(2 * _EXAMPLES[RATINGS])))
        columns = {name: column.numpy() for name, column in tf.io.parse_example(records, kinds).items()}
    except (tf.errors.OpError, StopIteration) as error:
        raise _damaged(found, type(error).__name__) from error
    _check_count(found, len(columns["user_id"]), _EXAMPLES[RATINGS])
    return columns


def _read_movies(tfds: Any, data_dir: Path | None) -> list[dict[str, Any]]:
    import tensorflow as tf

    found = builder(tfds, MOVIES, data_dir)
    try:
        movies = list(tfds.as_numpy(found.as_dataset(split="train", shuffle_files=False)))
    except tf.errors.OpError as error:
        raise _damaged(found, type(error).__name__) from error
    _check_count(found, len(movies), _EXAMPLES[MOVIES])
    return movies


def _check_count(found: Any, count: int, expected: int) -> None:
    if count != expected:
        raise _damaged(found, f"it has {count} examples, not {expected}")


def _damaged(found: Any, reason: str) -> DataError:
    return DataError(f"{found.data_path}: the prepared data set is damaged ({reason}); delete this directory and retry")


def _ids(texts: npt.NDArray[Any]) -> Int64s:
    return np.array([int(text) for text in texts], np.int64)


def _users(user_ids: Int64s, columns: Mapping[str, npt.NDArray[Any]]) -> Users:
    ids, rows = np.unique(user_ids, return_index=True)
    return Users(
        ids,
        {
            "age": tuple(str(int(age)) for age in columns["raw_user_age"][rows]),
            "gender": tuple("M" if is_male else "F" for is_male in columns["user_gender"][rows]),
            "occupation": tuple(text.decode("utf-8") for text in columns["user_occupation_text"][rows]),
            "zip_code": tuple(text.decode("utf-8") for text in columns["user_zip_code"][rows]),
        },
    )
