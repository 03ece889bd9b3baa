"""Ids in JSON: exact as numbers, and as strings where the caller cannot read numbers of 64 bits."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta

from rankserve_client.gateway.problems import invalid, shown

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_DIGITS = "^-?[0-9]{1,19}$"

Id = (
    Annotated[int, Meta(description="An integer of 64 bits.", extra_json_schema={"format": "int64"})]
    | Annotated[str, Meta(description="The same, for callers that round it.", extra_json_schema={"pattern": _DIGITS})]
)


def number_of(field: str, id_: int | str) -> int:
    """An id as it goes to the server.

    Raises:
        BadRequestError: where it is none, or out of its range.
    """
    number = id_ if isinstance(id_, int) else int(id_) if re.fullmatch(_DIGITS, id_) else None
    if number is None or not _SMALLEST <= number <= _LARGEST:
        raise invalid(field, f"should be an integer of 64 bits, got {shown(id_)}")
    return number


def numbers_of(field: str, ids: Sequence[int | str]) -> list[int]:
    """Likewise of each; the field of an error says which."""
    return [number_of(f"{field}[{place}]", id_) for place, id_ in enumerate(ids)]


def shown_ids(ids: Iterable[int], as_strings: bool) -> list[int | str]:
    """Ids as they are answered."""
    return list(map(str, ids)) if as_strings else list(ids)
