"""Reading MovieLens in bulk from the records that TFDS has written.

`tfds.load` gives the same, but parses one example at a time, which takes a dozen times as long.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rankserve_training.data.dataset import Int64s, Items, Ratings, Users
from rankserve_training.data.errors import DataError
from rankserve_training.data.items_file import NO_GENRES
from rankserve_training.data.movielens_sets import UserFeature

# Some megabytes of records in memory at once, besides the columns.
_RECORDS_AT_ONCE = 1 << 14
# The order of `tfds.load`, which takes turns between the files.
_FILES_AT_ONCE = 16
_RECORDS_IN_TURN = 16

# What is read of a rating, and the type that it has in TFDS' records. Ids are text there.
_RATING_KINDS = {"user_id": "string", "movie_id": "string", "user_rating": "float32", "timestamp": "int64"}
_IDS = {"user_id", "movie_id"}


@dataclass(frozen=True)
class Records:
    """What TFDS has prepared under one configuration.

    Attributes:
        directory: where it is.
        files: the files of records, in their order.
        count: how many records TFDS has written.
    """

    directory: Path
    files: tuple[str, ...]
    count: int

    def damaged(self, reason: str) -> DataError:
        """The error to raise where the records are not what TFDS has written."""
        return DataError(
            f"{self.directory}: the prepared data set is damaged ({reason}); delete this directory and retry"
        )


def read_ratings(records: Records, user_features: Mapping[str, UserFeature]) -> tuple[Ratings, Users]:
    """The ratings in the order of `tfds.load`, and the users in them, ascending by id.

    Takes little more memory than the columns that it gives, however many ratings there are.

    Args:
        records: of the ratings.
        user_features: what to read of the users, by the name to give it; taken from a user's first rating.

    Raises:
        DataError: if what is on disk is damaged.
    """
    kinds = _RATING_KINDS | {feature.column: feature.kind for feature in user_features.values()}
    ratings = _empty_ratings(records.count)
    described = _DescribedUsers(user_features)
    end = 0
    for batch in _batches(records, _fixed(kinds)):
        start, end = end, end + len(batch["user_id"])
        ratings.user_ids[start:end] = batch["user_id"]
        ratings.item_ids[start:end] = batch["movie_id"]
        ratings.values[start:end] = batch["user_rating"]
        ratings.timestamps[start:end] = batch["timestamp"]
        if user_features:
            described.add(batch)
    return ratings, described.users() if user_features else Users(np.unique(ratings.user_ids))


def read_items(records: Records, genre_names: Sequence[str]) -> Items:
    """The movies, ascending by id.

    Args:
        records: of the movies.
        genre_names: by the number that stands for each in the records.

    Raises:
        DataError: if what is on disk is damaged.
    """
    import tensorflow as tf

    kinds = _fixed({"movie_id": "string", "movie_title": "string"}) | {"movie_genres": tf.io.RaggedFeature(tf.int64)}
    movies: list[tuple[int, bytes, list[int]]] = []
    for batch in _batches(records, kinds):
        columns = (batch["movie_id"].tolist(), batch["movie_title"].numpy(), batch["movie_genres"].to_list())
        movies.extend(zip(*columns, strict=True))
    movies.sort(key=lambda movie: movie[0])
    return Items(
        ids=np.array([movie for movie, _, _ in movies], np.int64),
        # Three of the originals end with a blank.
        titles=tuple(title.decode("utf-8").strip() for _, title, _ in movies),
        genres=tuple(_genres(genre_names[label] for label in labels) for _, _, labels in movies),
    )


class _DescribedUsers:
    """Users with their features, gathered from batches of ratings.

    Only a user's first rating is looked at: the features of all ratings would take many times the ratings' own memory.
    """

    def __init__(self, features: Mapping[str, UserFeature]) -> None:
        self._features = features
        self._ids: Int64s = np.empty(0, np.int64)
        self._texts: dict[str, list[str]] = {name: [] for name in features}

    def add(self, batch: Mapping[str, Any]) -> None:
        """Takes the users of a batch that were in none before."""
        import tensorflow as tf

        ids, rows = np.unique(batch["user_id"], return_index=True)
        is_new = ~np.isin(ids, self._ids)
        self._ids = np.concatenate([self._ids, ids[is_new]])
        for name, feature in self._features.items():
            values = tf.gather(batch[feature.column], rows[is_new]).numpy()
            self._texts[name].extend(map(feature.as_text, values))

    def users(self) -> Users:
        """All of them, ascending by id."""
        order = np.argsort(self._ids)
        return Users(
            self._ids[order], {name: tuple(texts[row] for row in order) for name, texts in self._texts.items()}
        )


def _empty_ratings(count: int) -> Ratings:
    return Ratings(
        user_ids=np.empty(count, np.int64),
        item_ids=np.empty(count, np.int64),
        values=np.empty(count, np.float32),
        timestamps=np.empty(count, np.int64),
    )


def _fixed(kinds: Mapping[str, str]) -> dict[str, Any]:
    """Columns with one value a record."""
    import tensorflow as tf

    return {name: tf.io.FixedLenFeature((), kind) for name, kind in kinds.items()}


def _batches(records: Records, kinds: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The records, parsed into columns: tensors, except that ids are int64[batch] already.

    Raises:
        DataError: if what is on disk is damaged, or there are not as many records as TFDS has written.
    """
    import tensorflow as tf

    examples = tf.data.Dataset.from_tensor_slices(list(records.files)).interleave(
        tf.data.TFRecordDataset, cycle_length=_FILES_AT_ONCE, block_length=_RECORDS_IN_TURN
    )
    found = 0
    try:
        for batch in examples.batch(_RECORDS_AT_ONCE):
            found += len(batch)
            # What is there beyond the count has no place in the columns.
            if found > records.count:
                break
            columns = tf.io.parse_example(batch, kinds)
            yield columns | {
                name: tf.strings.to_number(columns[name], tf.int64).numpy() for name in _IDS & kinds.keys()
            }
    except tf.errors.OpError as error:
        raise records.damaged(type(error).__name__) from error
    if found != records.count:
        raise records.damaged(f"it has {'more' if found > records.count else found} examples, not {records.count}")


def _genres(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name != NO_GENRES)
