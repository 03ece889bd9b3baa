"""Tensors of ids as JSON has them: nested lists, or flat ones with a shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rankserve_client.gateway.problems import invalid, shown

USER, ITEM, SCORE = "user_id", "item_id", "score"
INPUTS = (USER, ITEM)
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Tensor:
    """An input: `len(ids)` is the product of `shape`, which is empty for a single number."""

    ids: list[int]
    shape: tuple[int, ...]


def from_nested(name: str, value: Any) -> Tensor:
    """The tensor of nested lists.

    Raises:
        BadRequestError: where the lists are not of one length, or hold anything but integers.
    """
    shape: list[int] = []
    level = [value]
    while level and any(isinstance(entry, list) for entry in level):
        lengths = {len(entry) if isinstance(entry, list) else -1 for entry in level}
        if len(lengths) > 1 or len(shape) >= _MOST_DIMENSIONS:
            raise invalid(name, f"should be integers in lists of equal lengths, got {shown(value)}")
        shape.append(lengths.pop())
        level = [inner for entry in level for inner in entry]
    return Tensor(_checked(name, level), tuple(shape))


def from_flat(name: str, data: list[Any], shape: Sequence[int]) -> Tensor:
    """The tensor of this shape, whose elements are in one list or in nested ones.

    Raises:
        BadRequestError: where they do not fit together, or are anything but integers.
    """
    check_shape(name, shape)
    ids = from_nested(name, data).ids
    if len(ids) != math.prod(shape):
        raise invalid(name, f"its shape {list(shape)} should have as many elements as its data: {len(ids)}")
    return Tensor(ids, tuple(shape))


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Refuses what no tensor has.

    Raises:
        BadRequestError: then.
    """
    if any(size < 0 for size in shape) or len(shape) > _MOST_DIMENSIONS:
        raise invalid(
            name, f"its shape should be up to {_MOST_DIMENSIONS} sizes of 0 or more, got {shown(list(shape))}"
        )


def to_nested(values: Sequence[float], shape: Sequence[int]) -> Any:
    """The elements as nested lists of this shape."""
    nested: list[Any] = list(values)
    for size in reversed(shape[1:]):
        nested = [nested[start : start + size] for start in range(0, len(nested), size)] if size else []
    return nested if shape else nested[0]


def users_of(users: Tensor, items: Tensor) -> list[int]:
    """The user of each item: one for all, one for each, or one for each row.

    Raises:
        BadRequestError: where the shapes leave open who belongs to which.
    """
    count, total = len(users.ids), len(items.ids)
    if count == 1:
        return users.ids * total
    if count == total:
        return users.ids
    if count and items.shape[:1] == (count,):
        return [user for user in users.ids for _ in range(total // count)]
    raise invalid(
        USER,
        f"should have one element, one for each of {ITEM}, or one for each row of it; got shape {list(users.shape)} "
        f"for {ITEM} of shape {list(items.shape)}",
    )


def check_names(names: Sequence[str]) -> None:
    """Refuses inputs that are missing, unknown or there twice.

    Raises:
        BadRequestError: naming the first of them.
    """
    for name in names:
        if name not in INPUTS:
            raise invalid("inputs", f"there is no input {name[:40]!r}; these are: {', '.join(INPUTS)}")
    for name in INPUTS:
        if names.count(name) != 1:
            raise invalid(name, f"should be there once, got {names.count(name)}")


def _checked(name: str, values: list[Any]) -> list[int]:
    for value in values:
        # A boolean is an integer for Python only.
        if type(value) is not int or not _SMALLEST <= value <= _LARGEST:
            raise invalid(name, f"should be integers of 64 bits, got {shown(value)}")
    return values
