"""What an operator can change about the versions that a server lets answer."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Promote:
    """Makes a version the current one and keeps it that; ends a canary and a shadow of the same version."""

    version: int
    """1 or more."""


@dataclass(frozen=True, slots=True)
class RollBack:
    """Makes the version current that was so before, and keeps it that.

    Before is before the last promotion, roll-back or pin; where there was none, the version before is the newest one
    that is older than the current one and can be served.
    """


@dataclass(frozen=True, slots=True)
class Pin:
    """Keeps a version current whatever is published."""

    version: int | None = None
    """1 or more; None for the version that is current now."""


@dataclass(frozen=True, slots=True)
class Unpin:
    """Makes the newest version current, now and whenever another is published: the way it is before any change."""


@dataclass(frozen=True, slots=True)
class SetAlias:
    """Gives a version another name, which no other version then has."""

    alias: str
    """1 to 64 letters, digits, '-', '_' and '.', a letter first."""

    version: int
    """1 or more."""


@dataclass(frozen=True, slots=True)
class DeleteAlias:
    """Takes a name away."""

    alias: str


@dataclass(frozen=True, slots=True)
class SetCanary:
    """Lets a version answer for a share of the users, who stay with it as long as the share does not shrink."""

    version: int
    """1 or more; 0 where `percent` is 0."""

    percent: float
    """0 to 100; 0 ends it."""


@dataclass(frozen=True, slots=True)
class SetShadow:
    """Lets a version score a share of the requests too, to see how it would rank; nobody gets its scores."""

    version: int
    """1 or more; 0 where `percent` is 0."""

    percent: float
    """0 to 100; 0 ends it."""


ServingChange: TypeAlias = Promote | RollBack | Pin | Unpin | SetAlias | DeleteAlias | SetCanary | SetShadow
