"""What a request itself tells of its user and of new items, and whether a model can use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_server.errors import InvalidRequestError, UnsupportedError, Violation
from rankserve_server.loaded_model import Abilities, LoadedModel

Ids: TypeAlias = npt.NDArray[np.int64]

# Of one kind, in one error.
_NAMED_VIOLATIONS = 5


class UserBasis(IntEnum):
    """What a user was scored by; the numbers are those of the protocol."""

    KNOWN = 1
    KNOWN_AND_HISTORY = 2
    HISTORY = 3
    FEATURES = 4
    HISTORY_AND_FEATURES = 5
    AVERAGE = 6


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is known of an item: its genres, and its year or 0."""

    genres: Sequence[str]
    year: int


@dataclass(slots=True)
class Told:
    """What a request tells, in the server's own terms. Nobody changes one.

    Attributes:
        history_ids: int64[h], items that the user has rated, each once.
        history_ratings: float32[h], finite.
        user_features: values by name.
        new_items: by id.
    """

    history_ids: Ids
    history_ratings: npt.NDArray[np.float32]
    user_features: Mapping[str, str] = field(default_factory=dict)
    new_items: Mapping[int, NewItem] = field(default_factory=dict)


def check_told(told: Told, model: LoadedModel) -> None:
    """Refuses what the model cannot use.

    Raises:
        UnsupportedError: where it cannot use something at all.
        InvalidRequestError: where something is out of its range.
    """
    abilities = model.abilities
    if len(told.history_ids) and not abilities.history:
        raise cannot_use(model, "history")
    if told.user_features and not abilities.user_features:
        raise cannot_use(model, "user_features")
    if told.new_items and not abilities.new_items:
        raise cannot_use(model, "new_items")
    violations = [*_scale_violations(told, model), *_feature_violations(told, abilities)]
    if violations:
        raise InvalidRequestError(*violations)


def cannot_use(model: LoadedModel, field: str) -> UnsupportedError:
    """The error for a field that a model has no use for."""
    preset = model.manifest.training.preset
    return UnsupportedError(f"{model.name}/{model.version} cannot use `{field}`: its preset is {preset!r}")


def _scale_violations(told: Told, model: LoadedModel) -> list[Violation]:
    scale = model.manifest.rating_scale
    # As float32, like the ratings: 0.1 would be out of a scale from 0.1.
    minimum, maximum = np.float32(scale.minimum), np.float32(scale.maximum)
    outside = (told.history_ratings < minimum) | (told.history_ratings > maximum)
    if not np.count_nonzero(outside):
        return []
    return [
        Violation(
            f"history.ratings[{place}]",
            f"should be {scale.minimum:g} to {scale.maximum:g}, the scale of {model.name}/{model.version}, "
            f"got {float(told.history_ratings[place]):g}",
        )
        for place in np.flatnonzero(outside)[:_NAMED_VIOLATIONS].tolist()
    ]


def _feature_violations(told: Told, abilities: Abilities) -> list[Violation]:
    if not told.user_features:
        return []
    unknown = sorted(set(told.user_features) - set(abilities.user_features))
    return [
        Violation(
            "user_features", f"{name!r} is none of those that the model uses: {', '.join(abilities.user_features)}"
        )
        for name in unknown[:_NAMED_VIOLATIONS]
    ]
