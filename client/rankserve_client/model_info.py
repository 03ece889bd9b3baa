"""What a server says about its models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ModelState = Literal["loading", "ready", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """The ratings that a model was trained on."""

    name: str
    """Such as `movielens/100k`, or the name of the rating file."""

    fingerprint: str
    """SHA-256 over the ratings, hexadecimal: equal for equal ratings, wherever they came from."""

    rating_count: int
    """How many ratings, those held out for the test included."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a model can use of a query beyond the user and the candidates; asking for more raises `NotSupported`."""

    history: bool = False
    """Whether it uses `history`."""

    user_features: tuple[str, ...] = ()
    """The names that it takes in `user_features`; empty where it uses none."""

    new_items: bool = False
    """Whether it uses `new_items`."""

    choice: bool = False
    """Whether it can rank by choice."""

    baseline: bool = False
    """Whether it can say what means alone would predict."""


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """How a version would have ranked what others have answered; means are over the requests that were compared."""

    compared: int
    """Requests that both have ranked."""

    left_out: int
    """Requests of its share that it was not asked, because that would have taken too much from answering."""

    failed: int
    """Requests that it could not rank."""

    overlap_at_10: float
    """The share of the first 10 items of the answer that are among its own first 10 too, 0 to 1."""

    kendall_tau: float
    """Of the first 100 items of the answer that both have ranked: 1 for the same order, -1 for its reverse."""

    score_difference: float
    """By how much its scores are above those of the answer."""

    absolute_score_difference: float
    """The same without its sign."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One version of a model on a server."""

    name: str
    version: int

    state: ModelState
    """Only "ready" answers; "unknown" is a state that this release of the client does not know."""

    state_message: str
    """Why it is in that state; empty where there is nothing to say."""

    is_default: bool
    """Whether requests that name no model go to this version."""

    aliases: tuple[str, ...]
    """Names that the operator has given to this version."""

    created: datetime | None
    """When it was trained, in UTC; None where the server cannot tell."""

    preset: str
    """The preset that it was trained with; empty where the server cannot tell."""

    dataset: DatasetInfo | None
    """What it was trained on; None where the server cannot tell."""

    user_count: int
    item_count: int

    rating_min: float
    """The lowest rating of its scale."""

    rating_max: float
    """The highest rating of its scale."""

    metrics: Mapping[str, float] = field(hash=False)
    """Figures measured when it was trained, by name, such as `test_rmse` (on the rating scale)."""

    library_versions: Mapping[str, str] = field(hash=False)
    """The versions of the libraries that trained it, by name."""

    abilities: Abilities = Abilities()
    """What it can use of a query; nothing where the server cannot tell."""

    is_current: bool = False
    """Whether queries that name this model, and neither a version nor an alias, go to it; but for those of a canary."""

    is_pinned: bool = False
    """Whether the operator has decided that it is current."""

    canary_percent: float = 0.0
    """The share of users that it answers instead of the current version, 0 to 100."""

    shadow_percent: float = 0.0
    """The share of requests that it scores too, 0 to 100."""

    shadow_report: ShadowReport | None = None
    """How it ranks in the shadow of the versions that answer; None where it never was a shadow since it was loaded."""
