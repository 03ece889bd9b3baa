"""What the doctor finds, and how packages that are asked for theirs give it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal

ENTRY_POINT_GROUP: Final = "rankserve.doctor"
"""Functions of installed packages. Each gets the settings of `rankserve serve`, the names of those that were given, and
what to call with each check that takes its time. It yields mappings with the fields of `Finding`."""

Status = Literal["ok", "warn", "fail", "skip"]
Findings = Iterator[Mapping[str, str]]
Announce = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Attributes:
        check: what was looked at, such as `grpcio` or `models/movielens/3`.
        status: `fail` where something cannot work, `warn` where it can, but not as it should, `skip` where there is
            nothing to look at.
        found: in a few words.
        advice: what to do; empty where there is nothing to do.
    """

    check: str
    status: Status
    found: str
    advice: str = ""


def findings_of(point: EntryPoint, settings: Mapping[str, Any], given: frozenset[str], announce: Announce) -> Findings:
    """What one package finds; that it lacks a library is a finding too."""
    try:
        yield from point.load()(settings, given, announce)
    except ModuleNotFoundError as error:
        advice = f"pip install 'rankserve[{point.name}]'"
        yield {"check": point.name, "status": "skip", "found": f"{error.name} is not installed", "advice": advice}


def packages() -> list[EntryPoint]:
    """The installed packages that look for themselves."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
