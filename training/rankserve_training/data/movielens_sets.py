"""The MovieLens data sets that TFDS has, and what they differ in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rankserve_training.data.dataset import RatingScale

# By the lowest age, which is what the records hold; the README of MovieLens 1M has the names.
_AGE_BUCKETS = {1: "under 18", 18: "18-24", 25: "25-34", 35: "35-44", 45: "45-49", 50: "50-55", 56: "56+"}


@dataclass(frozen=True)
class UserFeature:
    """What is known of a user, as it stands in the record of each of his ratings.

    Attributes:
        column: its name in TFDS' records.
        kind: its type there: `float32`, `int64` or `string`.
        as_text: from a value there to text.
    """

    column: str
    kind: str
    as_text: Callable[[Any], str]


@dataclass(frozen=True)
class MovielensSet:
    """One of GroupLens' data sets.

    Attributes:
        size: its name at TFDS, which has it as `movielens/SIZE-ratings` and `movielens/SIZE-movies`.
        title: its name for people.
        rating_count: how many ratings GroupLens says that it has.
        scale: the rating scale.
        user_features: what is known of the users, by the name that it gets here; empty where nothing is.
        is_in_recbole: whether the package `recbole` carries it, so that it can be had without GroupLens.
    """

    size: str
    title: str
    rating_count: int
    scale: RatingScale
    user_features: Mapping[str, UserFeature]
    is_in_recbole: bool = False

    @property
    def name(self) -> str:
        """Such as `movielens/100k`."""
        return f"movielens/{self.size}"

    @property
    def ratings_config(self) -> str:
        """The configuration of TFDS' builder for the ratings."""
        return f"{self.size}-ratings"

    @property
    def movies_config(self) -> str:
        """The configuration of TFDS' builder for the movies."""
        return f"{self.size}-movies"


def _utf8(text: bytes) -> str:
    return text.decode("utf-8")


def _age(age: float) -> str:
    return str(int(age))


def _age_bucket(lowest: float) -> str:
    return _AGE_BUCKETS[int(lowest)]


def _gender(is_male: int) -> str:
    return "M" if is_male else "F"


_WHOLE_STARS = RatingScale(1.0, 5.0)
_HALF_STARS = RatingScale(0.5, 5.0)
_PEOPLE = {
    "gender": UserFeature("user_gender", "int64", _gender),
    "occupation": UserFeature("user_occupation_text", "string", _utf8),
    "zip_code": UserFeature("user_zip_code", "string", _utf8),
}
_AGES = {"age": UserFeature("raw_user_age", "float32", _age)}
_BUCKETS = {"age_bucket": UserFeature("bucketized_user_age", "float32", _age_bucket)}

SETS = {
    movielens_set.name: movielens_set
    for movielens_set in (
        MovielensSet("100k", "MovieLens 100K", 100_000, _WHOLE_STARS, _AGES | _PEOPLE, is_in_recbole=True),
        MovielensSet("1m", "MovieLens 1M", 1_000_209, _WHOLE_STARS, _BUCKETS | _PEOPLE),
        MovielensSet("20m", "MovieLens 20M", 20_000_263, _HALF_STARS, {}),
        MovielensSet("25m", "MovieLens 25M", 25_000_095, _HALF_STARS, {}),
        MovielensSet("latest-small", "MovieLens Latest Small", 100_836, _HALF_STARS, {}),
    )
}
