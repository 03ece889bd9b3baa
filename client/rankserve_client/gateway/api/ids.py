"""Ids in JSON: exact as numbers, and as strings where the caller cannot read numbers of 64 bits."""

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from rankserve_client.gateway.problems import invalid

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1

Id = (
    Annotated[int, Meta(ge=_SMALLEST, le=_LARGEST, description="An integer of 64 bits.")]
    | Annotated[str, Meta(pattern="^-?[0-9]{1,19}$", description="The same as a string, for callers like JavaScript.")]
)


def number_of(field: str, id_: int | str) -> int:
    """An id as it goes to the server.

    Raises:
        BadRequestError: where it is out of its range.
    """
    number = int(id_)
    if not _SMALLEST <= number <= _LARGEST:
        raise invalid(field, f"should be an integer of 64 bits, got {id_}")
    return number


def numbers_of(field: str, ids: Sequence[int | str]) -> list[int]:
    """Likewise of each; the field of an error says which."""
    return [id_ if type(id_) is int else number_of(f"{field}[{place}]", id_) for place, id_ in enumerate(ids)]


def shown_ids(ids: Iterable[int], as_strings: bool) -> list[int | str]:
    """Ids as they are answered."""
    return list(map(str, ids)) if as_strings else list(ids)
