"""The bodies of the gateway's own API. What they mean, and what is the default, is what the protos say."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from rankserve_client.gateway.api.ids import Id
from rankserve_client.gateway.problems import Problem
from rankserve_client.ranking import UserBasis

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Version = Annotated[int, Meta(ge=1, le=2**63 - 1)]
TopK = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Year = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Selector(Struct, frozen=True, forbid_unknown_fields=True):
    """Which model answers; by default the server's default model in its current version."""

    name: Name | None = None
    version: Version | None = None
    alias: Name | None = None


class History(Struct, frozen=True, forbid_unknown_fields=True):
    """Ratings of the user that the model was not trained on, as two columns of the same length."""

    item_ids: list[Id]
    ratings: list[float]


class NewItemEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a candidate that the model does not know."""

    item_id: Id
    genres: list[str] = []
    year: Year | None = None


class RankRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One user and the items to order; without `candidate_ids` the whole catalogue, and `top_k` is then required.

    `user_id` 0, the default, is a stranger.
    """

    user_id: Id = 0
    candidate_ids: list[Id] | None = None
    top_k: TopK = 0
    model: Selector = Selector()
    history: History | None = None
    exclude_seen: bool = False
    exclude_ids: list[Id] = []
    order: Literal["score", "as_sent"] = "score"
    include_titles: bool = False
    unknown_user: Literal["score", "reject"] = "score"
    unknown_items: Literal["score", "omit", "reject"] = "score"
    rank_by: Literal["default", "rating", "choice"] = "default"
    user_features: dict[str, str] = {}
    new_items: list[NewItemEntry] = []


class RankAnswer(Struct, frozen=True):
    """The ranked items as aligned columns, best first; scores are predicted ratings, exact to the bit."""

    item_ids: list[Id]
    scores: list[float]
    user_known: bool
    user_basis: UserBasis
    model_name: str
    model_version: int
    unknown_item_ids: list[Id]
    described_item_ids: list[Id]
    titles: list[str] | UnsetType = UNSET
    choice_scores: list[float] | UnsetType = UNSET


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Several requests, usually of different users."""

    requests: Annotated[list[RankRequest], Meta(min_length=1)]


class BatchResult(Struct, frozen=True):
    """One request of several: its ranking, or why it was refused, which does not touch its neighbours."""

    ranking: RankAnswer | UnsetType = UNSET
    error: Problem | UnsetType = UNSET


class BatchAnswer(Struct, frozen=True):
    """The results in the order of the requests."""

    results: list[BatchResult]


class DatasetEntry(Struct, frozen=True):
    """What a model was trained on."""

    name: str
    fingerprint: str
    rating_count: int


class AbilitiesEntry(Struct, frozen=True):
    """What a model can use of a request, and tell."""

    history: bool
    user_features: list[str]
    new_items: bool
    choice: bool
    baseline: bool


class ModelEntry(Struct, frozen=True):
    """One version of a model."""

    name: str
    version: int
    state: Literal["loading", "ready", "failed", "unknown"]
    state_message: str
    is_default: bool
    is_current: bool
    is_pinned: bool
    aliases: list[str]
    canary_percent: float
    shadow_percent: float
    created: datetime | None
    preset: str
    dataset: DatasetEntry | None
    metrics: dict[str, float]
    user_count: int
    item_count: int
    rating_min: float
    rating_max: float
    library_versions: dict[str, str]
    abilities: AbilitiesEntry


class ModelsAnswer(Struct, frozen=True):
    """Every version, by name, newest first."""

    models: list[ModelEntry]


class ItemEntry(Struct, frozen=True):
    """An item of a catalogue."""

    item_id: Id
    title: str
    genres: list[str]
    rating_count: int


class ItemsAnswer(Struct, frozen=True):
    """Items that were asked for or found."""

    items: list[ItemEntry]
    unknown_item_ids: list[Id]
    model_name: str
    model_version: int


class UserAnswer(Struct, frozen=True):
    """What a model knows of a user: the items that he has rated, those with the most ratings first."""

    user_id: Id
    known: bool
    seen_count: int
    seen_items: list[ItemEntry]
    model_name: str
    model_version: int


class BaselineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose ratings of what means alone would predict."""

    item_ids: Annotated[list[Id], Meta(min_length=1)]
    user_id: Id = 0
    model: Selector = Selector()
    history: History | None = None


class BaselineAnswer(Struct, frozen=True):
    """One prediction for each item, in the order of the request."""

    scores: list[float]
    model_name: str
    model_version: int
