"""A model version that can answer."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rankserve_server.engine.engine import Engine
from rankserve_server.item_search import ItemSearch
from rankserve_server.metrics.version_counts import VersionCounts
from rankserve_training.artifact import Catalog, Manifest, UserTable

if TYPE_CHECKING:
    from rankserve_training.model.newcomers import Newcomers


@dataclass(frozen=True)
class Abilities:
    """What a model can use of a request beyond the user and the candidates.

    Attributes:
        history: whether it uses ratings that came with the request.
        user_features: the names that it takes, in alphabetical order.
        new_items: whether it uses what the request says of new items.
        choice: whether it can rank by choice.
        baseline: whether it can say what means alone would predict.
    """

    history: bool
    user_features: tuple[str, ...]
    new_items: bool
    choice: bool
    baseline: bool = False


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A verified, compiled version, held in memory.

    Attributes:
        manifest: what it is.
        catalog: its items.
        users: its users.
        engine: its compiled model.
        newcomers: how it describes strangers to the engine; None where it knows nothing but ids.
    """

    manifest: Manifest
    catalog: Catalog
    users: UserTable
    engine: Engine
    newcomers: "Newcomers | None" = None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The version, 1 or more."""
        return self.manifest.version

    @cached_property
    def counts(self) -> VersionCounts:
        """What it was asked and has answered, where somebody counts that."""
        scale = self.manifest.rating_scale
        return VersionCounts(scale.minimum, scale.maximum)

    @cached_property
    def item_search(self) -> ItemSearch:
        """Its items by words of their titles."""
        return ItemSearch(self.catalog, self.users)

    @cached_property
    def abilities(self) -> Abilities:
        """What requests may ask of it."""
        if self.newcomers is None:
            return Abilities(history=False, user_features=(), new_items=False, choice=self.engine.has_choice)
        encoding = self.newcomers.encoding
        return Abilities(
            history=True,
            user_features=tuple(sorted(feature.name for feature in encoding.user_features)),
            new_items=bool(encoding.item_features),
            choice=self.engine.has_choice,
            baseline=True,
        )
