"""The id by which a call is found again: in logs, in spans, and at its caller."""

import itertools
import re
import secrets
from collections.abc import Iterable

HEADER = "x-request-id"
# Of a caller's own: what can stand in a log and in metadata as it is. Others are not taken.
_TAKEN = re.compile(r"[0-9A-Za-z._:/+=-]{1,128}")


class RequestIds:
    """Makes ids: this process's own beginning, and a number. Any thread may ask."""

    def __init__(self) -> None:
        self._beginning = secrets.token_hex(6)
        # Of C: taking from it is atomic.
        self._numbers = itertools.count(1)

    def new(self) -> str:
        """One that no other call has."""
        return f"{self._beginning}-{next(self._numbers):x}"


def taken_id(value: str | bytes) -> str | None:
    """A caller's own id; None where it is none that can be used."""
    return value if isinstance(value, str) and _TAKEN.fullmatch(value) else None


def request_id_in(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The id that came with a call; None where there is none that can be used."""
    return next((taken_id(value) for key, value in metadata if key == HEADER), None)
