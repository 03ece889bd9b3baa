"""Which loaded version of a model answers a request. Routes are replaced as a whole, never changed."""

from dataclasses import dataclass, field

from rankserve_server.errors import UnknownModelError
from rankserve_server.loaded_model import LoadedModel

_MASK = 2**64 - 1


@dataclass(frozen=True)
class LoadedShare:
    """A version that gets a part of what comes.

    Attributes:
        model: which.
        fraction: of what comes, more than 0, at most 1.
    """

    model: LoadedModel
    fraction: float


@dataclass(frozen=True)
class Routes:
    """The loaded versions of one model.

    Attributes:
        current: answers requests that name neither a version nor an alias.
        versions: all that are loaded, by number.
        aliases: by name; only those whose version is loaded.
        canary: answers for a share of the users instead of `current`; None where there is none.
        shadow: scores a share of the requests too; None where there is none.
    """

    current: LoadedModel
    versions: dict[int, LoadedModel]
    aliases: dict[str, LoadedModel] = field(default_factory=dict)
    canary: LoadedShare | None = None
    shadow: LoadedShare | None = None

    def select(self, version: int | None, alias: str | None, user_id: int = 0) -> LoadedModel:
        """The version that answers.

        Args:
            version: a number; None for whichever is current.
            alias: likewise a name.
            user_id: decides about the canary: a user stays with what he got first.

        Raises:
            UnknownModelError: where the version is not loaded or nothing has that name.
        """
        if alias is not None:
            return self._by_alias(alias)
        if version is not None:
            return self._by_number(version)
        if self.canary is not None and user_fraction(user_id) < self.canary.fraction:
            return self.canary.model
        return self.current

    def shadow_of(self, answered: LoadedModel, chance: float) -> LoadedModel | None:
        """Which version scores too what another has answered; `chance` is 0 to below 1."""
        shadow = self.shadow
        if shadow is None or shadow.model is answered or chance >= shadow.fraction:
            return None
        return shadow.model

    def _by_alias(self, alias: str) -> LoadedModel:
        found = self.aliases.get(alias)
        if found is None:
            name = self.current.name
            known = f"; it has {', '.join(sorted(self.aliases))}" if self.aliases else ""
            raise UnknownModelError(f"{name}@{alias}", f"model {name!r} has no alias {alias!r}{known}")
        return found

    def _by_number(self, version: int) -> LoadedModel:
        found = self.versions.get(version)
        if found is None:
            name = self.current.name
            served = sorted(self.versions)
            these = f"version {served[0]} is" if len(served) == 1 else f"these are: {', '.join(map(str, served))}"
            raise UnknownModelError(f"{name}/{version}", f"version {version} of model {name!r} is not served; {these}")
        return found


def user_fraction(user_id: int) -> float:
    """From 0 to below 1, evenly spread over users and the same for a user on every server.

    The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
    """
    bits = (user_id + 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((bits ^ (bits >> 31)) >> 11) / 2**53
