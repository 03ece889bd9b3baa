"""The fields of one line: splitting it, and the rules for an id."""

import csv
import re

from rankserve_training.data.errors import Place

LARGEST_ID = 2**63 - 1

_INTEGER = re.compile(r"[+-]?[0-9]+")
_SEPARATORS = {"\t": "tabs", ",": "commas", "|": "'|'"}


def split(place: Place, line: str, delimiter: str, columns: tuple[str, ...]) -> list[str]:
    """The fields of a line, one for each of the columns, without surrounding blanks.

    Fields between commas may be in double quotes.

    Raises:
        DataError: if there are more or fewer fields than columns, or a quote is not closed.
    """
    fields = split_freely(place, line, delimiter)
    if len(fields) != len(columns):
        names = columns if len(columns) <= 6 else (*columns[:5], "...")
        raise place.error(
            f"has {len(fields)} fields separated by {_SEPARATORS[delimiter]} where {len(columns)} are expected "
            f"({', '.join(names)})"
        )
    return fields


def split_freely(place: Place, line: str, delimiter: str) -> list[str]:
    """The fields of a line, however many there are, without surrounding blanks."""
    if delimiter != ",":
        return [field.strip() for field in line.split(delimiter)]
    try:
        (fields,) = csv.reader([line], strict=True)
    except (csv.Error, ValueError) as error:
        raise place.error(f"is not a line of a CSV file: {error}") from None
    return [field.strip() for field in fields]


def is_integer(text: str) -> bool:
    """Whether the text is a decimal integer of ASCII digits."""
    return _INTEGER.fullmatch(text) is not None


def parse_id(place: Place, what: str, text: str) -> int:
    """The id in a field; `what` names it in the error, such as "user id".

    Raises:
        DataError: if it is not an integer from 1 to 2^63 - 1.
    """
    if not is_integer(text):
        raise place.error(f"{what} {text!r} is not an integer")
    # Python refuses to convert thousands of digits, so they are counted first.
    digits = text.lstrip("+-0")
    if not digits or text.startswith("-"):
        raise place.error(f"{what} {_shortened(text)} is not positive; ids start at 1")
    if len(digits) > len(str(LARGEST_ID)) or int(digits) > LARGEST_ID:
        raise place.error(f"{what} {_shortened(text)} is over {LARGEST_ID} (2^63 - 1), the largest id")
    return int(digits)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
