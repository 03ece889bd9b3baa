"""What to rank: a user, candidates and how to treat them."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsIndex

Order = Literal["score", "as_sent"]
UnknownUser = Literal["score", "reject"]
UnknownItems = Literal["score", "omit", "reject"]

_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RankQuery:
    """One user and the items to order, as a value: what `rank_batch` and `rank_stream` take.

    Ids are integers of 64 bits. Iterables are copied, so that a query never changes; arrays (NumPy, JAX, pandas) count
    as iterables.

    Args:
        user_id: The user. One that the model does not know is scored as a new user.
        candidates: The items to order; an id that is given twice comes back twice. None, the default, is the whole
            catalogue of the model, and `top_k` is then required.
        top_k: How many of the best items to return; 0, the default, is all of them.
        model: Name of the model; None is the server's default model.
        version: A version of the model, 1 or more; None is its current version.
        alias: A name that the operator has given to a version. Not together with `version`.
        history: Ratings of this user that the model was not trained on, as a mapping from item to rating or as pairs.
            `NotSupported` where the model cannot use them.
        exclude_seen: Leaves out the items that the user had rated when the model was trained.
        exclude: Further items to leave out.
        order: "score", best first, or "as_sent", in the order of the candidates.
        titles: Whether to return the titles of the items.
        unknown_user: "score" an unknown user as a new one, or "reject" the request.
        unknown_items: "score" unknown items as new ones, "omit" them from the ranking or "reject" the request.

    Raises:
        TypeError: An id is not an integer.
        ValueError: An argument is out of its range, or `candidates` is empty. The server checks what depends on the
            model or on its limits.
    """

    user_id: int
    candidates: Iterable[int] | None = None
    top_k: int = field(default=0, kw_only=True)
    model: str | None = field(default=None, kw_only=True)
    version: int | None = field(default=None, kw_only=True)
    alias: str | None = field(default=None, kw_only=True)
    history: Mapping[int, float] | Iterable[tuple[int, float]] | None = field(default=None, kw_only=True)
    exclude_seen: bool = field(default=False, kw_only=True)
    exclude: Iterable[int] = field(default=(), kw_only=True)
    order: Order = field(default="score", kw_only=True)
    titles: bool = field(default=False, kw_only=True)
    unknown_user: UnknownUser = field(default="score", kw_only=True)
    unknown_items: UnknownItems = field(default="score", kw_only=True)

    def __post_init__(self) -> None:
        _check_integer("user_id", self.user_id, -_INT64_MAX - 1, _INT64_MAX)
        _check_integer("top_k", self.top_k, 0, _INT32_MAX)
        check_selector(self.model, self.version, self.alias)
        _check_choice("order", self.order, ("score", "as_sent"))
        _check_choice("unknown_user", self.unknown_user, ("score", "reject"))
        _check_choice("unknown_items", self.unknown_items, ("score", "omit", "reject"))
        if self.candidates is not None:
            candidates = _tuple_of("candidates", self.candidates)
            if not candidates:
                # On the wire no candidates means the whole catalogue: not what an empty retrieval asks for.
                raise ValueError("`candidates` is empty, so there is nothing to rank; None is the whole catalogue")
            object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "exclude", _tuple_of("exclude", self.exclude))
        if self.history is not None:
            object.__setattr__(self, "history", _pairs(self.history))


def check_selector(model: str | None, version: int | None, alias: str | None) -> None:
    """Raises where a model's name, version and alias cannot be meant together."""
    for name, value in (("model", model), ("alias", alias)):
        if value is not None and (not isinstance(value, str) or value == ""):
            raise ValueError(f"`{name}` must be a non-empty string or None. Received: `{name}` = {value!r}")
    if version is not None:
        _check_integer("version", version, 1, _INT64_MAX)
        if alias is not None:
            raise ValueError(f"give `version` or `alias`, not both. Received: {version!r} and {alias!r}")


def _check_integer(name: str, value: SupportsIndex, low: int, high: int) -> None:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)  # also takes NumPy's integers
    except TypeError:
        raise TypeError(f"`{name}` must be an integer. Received: `{name}` = {value!r}") from None
    if not low <= number <= high:
        raise ValueError(f"`{name}` must be an integer from {low} to {high}. Received: `{name}` = {value!r}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}. Received: `{name}` = {value!r}")


def _tuple_of(name: str, values: Any) -> tuple[Any, ...]:
    """The elements; an array gives all of them as Python's own at once, which is many times faster than one by one."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"`{name}` must be an iterable. Received: `{name}` = {values!r}") from None


def _pairs(history: Any) -> tuple[tuple[int, float], ...]:
    entries = history.items() if isinstance(history, Mapping) else _tuple_of("history", history)
    try:
        return tuple((item, rating) for item, rating in entries)
    except (TypeError, ValueError):
        raise TypeError(f"`history` must hold pairs of an item and a rating. Received: {history!r}") from None
