"""Which loaded version of a model answers a request. Routes are replaced as a whole, never changed."""

from dataclasses import dataclass, field

from rankserve_server.errors import UnknownModelError
from rankserve_server.loaded_model import LoadedModel

# Shares are counted in hundredths of a percent.
_PARTS = 10_000
_MASK = 2**64 - 1


@dataclass(frozen=True)
class Routes:
    """The loaded versions of one model.

    Attributes:
        current: answers requests that name neither a version nor an alias.
        versions: all that are loaded, by number.
        aliases: by name; only those whose version is loaded.
        canary: answers for a share of the users instead of `current`; None where there is none.
        canary_parts: how many of 10,000 users that are.
    """

    current: LoadedModel
    versions: dict[int, LoadedModel]
    aliases: dict[str, LoadedModel] = field(default_factory=dict)
    canary: LoadedModel | None = None
    canary_parts: int = 0

    def select(self, version: int | None, alias: str | None, user_id: int) -> LoadedModel:
        """The version that answers.

        Args:
            version: a number; None for whichever is current.
            alias: likewise a name.
            user_id: decides about the canary: a user stays with what he got first.

        Raises:
            UnknownModelError: where the version is not loaded or nothing has that name.
        """
        if version is None and alias is None:
            if self.canary is not None and user_part(user_id) < self.canary_parts:
                return self.canary
            return self.current
        name = self.current.name
        if alias is not None:
            found = self.aliases.get(alias)
            if found is None:
                known = f"; it has {', '.join(sorted(self.aliases))}" if self.aliases else ""
                raise UnknownModelError(f"{name}@{alias}", f"model {name!r} has no alias {alias!r}{known}")
            return found
        found = self.versions.get(version or 0)
        if found is None:
            served = ", ".join(map(str, sorted(self.versions)))
            raise UnknownModelError(
                f"{name}/{version}", f"version {version} of model {name!r} is not served; these are: {served}"
            )
        return found


def user_part(user_id: int) -> int:
    """A number from 0 to 9,999 for a user, evenly spread: the finaliser of SplitMix64 (Steele et al., "Fast Splittable
    Pseudorandom Number Generators", 2014).
    """
    bits = (user_id + 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return (bits ^ (bits >> 31)) % _PARTS
