"""Users and items as tensors of ids, as protocols bring them that know nothing of either."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.told import Ids

USER, ITEM, SCORE = "user_id", "item_id", "score"
INPUTS = (USER, ITEM)


@dataclass(slots=True)
class IdTensor:
    """An input.

    Attributes:
        ids: int64[n], row by row.
        shape: whose product is n; empty for a single number.
    """

    ids: Ids
    shape: tuple[int, ...]


def size_of(name: str, shape: Sequence[int]) -> int:
    """How many elements an input of this shape has.

    Raises:
        InvalidRequestError: where it is none that a tensor can have.
    """
    if any(dimension < 0 for dimension in shape):
        raise wrong(name, f"its shape should have no negative dimensions, got {shown(shape)}")
    return math.prod(shape)


def users_of(users: IdTensor, items: IdTensor) -> Ids:
    """The user of each item; one where he is that of all.

    Returns:
        int64[1], or int64[n] where there are n items.

    Raises:
        InvalidRequestError: where the shapes leave open who belongs to which.
    """
    count, item_count = len(users.ids), len(items.ids)
    if count in (1, item_count):
        return users.ids
    if count and items.shape[:1] == (count,):
        return users.ids.repeat(item_count // count)
    raise wrong(
        USER,
        f"should have one element, one for each of {ITEM}, or one for each row of it; got shape {shown(users.shape)} "
        f"for {ITEM} of shape {shown(items.shape)}",
    )


def check_names(names: Sequence[str]) -> None:
    """Refuses inputs that are missing, unknown or there twice.

    Raises:
        InvalidRequestError: naming each of them.
    """
    violations = [Violation(name, "is missing; it should be an input of int32 or int64") for name in missing(names)]
    violations += [
        Violation("inputs", f"there is no input {name!r}; these are: {', '.join(INPUTS)}")
        for name in dict.fromkeys(names)
        if name not in INPUTS
    ]
    violations += [Violation(name, "should be there once") for name in INPUTS if names.count(name) > 1]
    if violations:
        raise InvalidRequestError(*violations)


def missing(names: Sequence[str]) -> list[str]:
    """The inputs that are not there."""
    return [name for name in INPUTS if name not in names]


def check_outputs(names: Sequence[str]) -> None:
    """Refuses to be asked for what is no output.

    Raises:
        InvalidRequestError: naming it.
    """
    for name in names:
        if name != SCORE:
            raise wrong("outputs", f"there is no output {name!r}; there is: {SCORE}")


def wrong(field: str, description: str) -> InvalidRequestError:
    """What is wrong with one field, as an error."""
    return InvalidRequestError(Violation(field, description))


def shown(shape: Sequence[int]) -> str:
    """A shape for people, however many dimensions it claims to have."""
    named = ", ".join(map(str, shape[:8]))
    return f"[{named}]" if len(shape) <= 8 else f"[{named}, and {len(shape) - 8} more]"
