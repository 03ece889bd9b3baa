"""What a data set says of its users and items, as features whose values have rows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.data import Items, Users
from rankserve_training.model.newcomers import GENRE, YEAR, Feature, year_of

# A value that fewer have says more about them than about others.
_FEWEST_WITH_VALUE = 5
_MOST_VALUES = 64
_NUMBER_BINS = 8
_YEARS_IN_A_BIN = 5
# The first character of a postal code is its region in most countries.
_FIRST_CHARACTERS = {"zip_code": 1}


@dataclass(frozen=True)
class Bags:
    """Rows of a table and their weights, k for each entity.

    Attributes:
        rows: int32[entities + 1, k]; entity row 0, the unknown one, has none.
        weights: float32[entities + 1, k]; 0 where there are fewer than k.
        count: how many rows the table has, 1 or more.
    """

    rows: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    count: int


def user_features(users: Users) -> list[Feature]:
    """The features of users that can be learnt from: numbers in bins, and names that several share."""
    features = [_feature(name, values) for name, values in sorted(users.features.items())]
    return [feature for feature in features if feature.count > 1]


def item_features(items: Items) -> list[Feature]:
    """`genre` and `year`, as far as items have them."""
    genres = Counter(name for names in items.genres for name in names)
    common = sorted(name for name, count in genres.items() if count >= _FEWEST_WITH_VALUE)
    features = [Feature(GENRE, values=common)] if common else []
    years = [year for year in map(year_of, items.titles) if year]
    if years:
        edges = _distinct_quantiles(np.array(years, np.float64) // _YEARS_IN_A_BIN * _YEARS_IN_A_BIN, bins=16)
        features += [Feature(YEAR, edges=edges)] if edges else []
    return features


def user_bags(users: Users, features: Sequence[Feature]) -> Bags:
    """Which rows of the features' table each user has."""
    chosen: list[list[tuple[int, float]]] = [[] for _ in range(len(users.ids) + 1)]
    first = 0
    for feature in features:
        places = {value: feature.place(value) for value in set(users.features[feature.name])}
        for row, value in enumerate(users.features[feature.name], start=1):
            place = places[value]
            if place is not None:
                chosen[row].append((first + place, 1.0))
        first += feature.count
    return _bags(chosen, first)


def item_bags(items: Items, features: Sequence[Feature]) -> Bags:
    """Which rows of the features' table each item has; those of one feature together have a length of 1."""
    chosen: list[list[tuple[int, float]]] = [[] for _ in range(len(items.ids) + 1)]
    first = 0
    for feature in features:
        for row, (title, genres) in enumerate(zip(items.titles, items.genres, strict=True), start=1):
            year = year_of(title)
            values = genres if feature.name == GENRE else (str(year),) if year else ()
            places = [place for place in map(feature.place, dict.fromkeys(values)) if place is not None]
            chosen[row] += [(first + place, len(places) ** -0.5) for place in places]
        first += feature.count
    return _bags(chosen, first)


def _feature(name: str, values: Sequence[str]) -> Feature:
    characters = _FIRST_CHARACTERS.get(name, 0)
    given = [value[:characters] if characters else value for value in values if value]
    numbers = None if characters else _numbers(given)
    if numbers is not None and len(np.unique(numbers)) > _NUMBER_BINS:
        return Feature(name, edges=_distinct_quantiles(numbers, _NUMBER_BINS))
    counts = Counter(given).most_common(_MOST_VALUES)
    return Feature(
        name, values=sorted(value for value, count in counts if count >= _FEWEST_WITH_VALUE), characters=characters
    )


def _numbers(values: Sequence[str]) -> npt.NDArray[np.float64] | None:
    try:
        return np.array([float(value) for value in values])
    except ValueError:
        return None


def _distinct_quantiles(numbers: npt.NDArray[np.float64], bins: int) -> list[float]:
    quantiles = np.unique(np.quantile(numbers, np.arange(1, bins) / bins, method="higher"))
    return [float(edge) for edge in quantiles if edge > numbers.min()]


def _bags(chosen: Sequence[Sequence[tuple[int, float]]], count: int) -> Bags:
    width = max(1, *map(len, chosen))
    rows = np.zeros((len(chosen), width), np.int32)
    weights = np.zeros((len(chosen), width), np.float32)
    for entity, entries in enumerate(chosen):
        for place, (row, weight) in enumerate(entries):
            rows[entity, place], weights[entity, place] = row, weight
    return Bags(rows, weights, max(1, count))
