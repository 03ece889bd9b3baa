"""What to rank: a user, candidates, what is known of them and how to treat them."""

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, SupportsIndex

Order = Literal["score", "as_sent"]
UnknownUser = Literal["score", "reject"]
UnknownItems = Literal["score", "omit", "reject"]
RankBy = Literal["default", "rating", "choice"]

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

# Told by identity: most queries have nothing there to copy.
_NONE_GIVEN: Final = ()


@dataclass(frozen=True, slots=True)
class NewItem:
    """What is known of an item that the model was not trained on.

    Args:
        item_id: The item, an integer of 64 bits.
        genres: Its genres, named as in the ratings that the model was trained on; the model ignores those that it has
            not seen. Copied.
        year: The year in which it came out, 1 or more; None where it is not known.

    Raises:
        TypeError: `item_id` or `year` is not an integer, or `genres` holds anything but strings.
        ValueError: `item_id` or `year` is out of its range.
    """

    item_id: int
    genres: Iterable[str] = ()
    year: int | None = None

    def __post_init__(self) -> None:
        check_integer("item_id", self.item_id, -INT64_MAX - 1, INT64_MAX)
        if self.year is not None:
            check_integer("year", self.year, 1, INT32_MAX)
        # A string is an iterable of strings, too, but its letters are no genres.
        genres = (None,) if isinstance(self.genres, str) else tuple_of("genres", self.genres)
        if not all(isinstance(genre, str) for genre in genres):
            raise TypeError(f"`genres` must be an iterable of strings. Received: `genres` = {self.genres!r}")
        object.__setattr__(self, "genres", genres)


@dataclass(frozen=True, slots=True)
class RankQuery:
    """One user and the items to order, as a value: what `rank_batch` and `rank_stream` take.

    Ids are integers of 64 bits. Iterables are copied, so that a query never changes; arrays (NumPy, JAX, pandas) count
    as iterables.

    Args:
        user_id: The user. One that the model does not know is scored as a new user: by `history` and `user_features`
            where they are given, else as the average one.
        candidates: The items to order; an id that is given twice comes back twice. None, the default, is the whole
            catalogue of the model, and `top_k` is then required.
        top_k: How many of the best items to return; 0, the default, is all of them.
        model: Name of the model; None is the server's default model.
        version: A version of the model, 1 or more; None is its current version.
        alias: A name that the operator has given to a version. Not together with `version`.
        history: Ratings of this user that the model was not trained on, as a mapping from item to rating or as pairs,
            each item once, on the model's scale; at most 1,000 unless the server is set otherwise. For a known user
            they count beside those of the training. Items that the model does not know are ignored. `NotSupported`
            where the model cannot use them.
        exclude_seen: Leaves out the items that the user had rated when the model was trained and those of `history`.
        exclude: Further items to leave out.
        order: "score", best first (see `rank_by`), or "as_sent", in the order of the candidates.
        titles: Whether to return the titles of the items.
        unknown_user: "score" an unknown user as a new one, or "reject" the request.
        unknown_items: "score" unknown items as new ones, "omit" them from the ranking or "reject" the request.
        rank_by: What makes an item better: its predicted "rating", or how likely its "choice" by the user is
            (`NotSupported` where the model has no such output). "default" is the rating where there are `candidates`;
            for the whole catalogue it is the choice where the model can, else the rating.
        user_features: What is known of a user that the model does not know, such as `{"age": "24"}`, as a mapping or as
            pairs of strings. A value that was not seen in training counts as not given; the features of a known user
            are ignored. `InvalidRequest` for a name that the model does not use, `NotSupported` where it uses none.
        new_items: What is known of candidates that the model does not know, each once; others have no effect.
            `NotSupported` where the model cannot use them.

    Raises:
        TypeError: An id is not an integer, or another argument is not of its type.
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
    exclude: Iterable[int] = field(default=_NONE_GIVEN, kw_only=True)
    order: Order = field(default="score", kw_only=True)
    titles: bool = field(default=False, kw_only=True)
    unknown_user: UnknownUser = field(default="score", kw_only=True)
    unknown_items: UnknownItems = field(default="score", kw_only=True)
    rank_by: RankBy = field(default="default", kw_only=True)
    user_features: Mapping[str, str] | Iterable[tuple[str, str]] | None = field(default=None, kw_only=True)
    new_items: Iterable[NewItem] = field(default=_NONE_GIVEN, kw_only=True)

    def __post_init__(self) -> None:
        check_integer("user_id", self.user_id, -INT64_MAX - 1, INT64_MAX)
        check_integer("top_k", self.top_k, 0, INT32_MAX)
        check_selector(self.model, self.version, self.alias)
        _check_choice("order", self.order, ("score", "as_sent"))
        _check_choice("unknown_user", self.unknown_user, ("score", "reject"))
        _check_choice("unknown_items", self.unknown_items, ("score", "omit", "reject"))
        _check_choice("rank_by", self.rank_by, ("default", "rating", "choice"))
        if self.candidates is not None:
            candidates = tuple_of("candidates", self.candidates)
            if not candidates:
                # On the wire no candidates means the whole catalogue: not what an empty retrieval asks for.
                raise ValueError("`candidates` is empty, so there is nothing to rank; None is the whole catalogue")
            object.__setattr__(self, "candidates", candidates)
        if self.exclude is not _NONE_GIVEN:
            object.__setattr__(self, "exclude", tuple_of("exclude", self.exclude))
        if self.history is not None:
            object.__setattr__(self, "history", pairs_of("history", self.history, "an item and a rating"))
        if self.user_features is not None:
            object.__setattr__(self, "user_features", _features(self.user_features))
        if self.new_items is not _NONE_GIVEN:
            object.__setattr__(self, "new_items", _new_items(self.new_items))


def check_selector(model: str | None, version: int | None, alias: str | None) -> None:
    """Raises where a model's name, version and alias cannot be meant together."""
    for name, value in (("model", model), ("alias", alias)):
        if value is not None and (not isinstance(value, str) or value == ""):
            raise ValueError(f"`{name}` must be a non-empty string or None. Received: `{name}` = {value!r}")
    if version is not None:
        check_integer("version", version, 1, INT64_MAX)
        if alias is not None:
            raise ValueError(f"give `version` or `alias`, not both. Received: {version!r} and {alias!r}")


def check_integer(name: str, value: SupportsIndex, low: int, high: int) -> None:
    """Raises where a value is no integer, or out of its range."""
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


def tuple_of(name: str, values: Any) -> tuple[Any, ...]:
    """The elements; an array gives all of them as Python's own at once, which is many times faster than one by one."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    try:
        return tuple(values)
    except TypeError:
        raise TypeError(f"`{name}` must be an iterable. Received: `{name}` = {values!r}") from None


def pairs_of(name: str, values: Any, meaning: str) -> tuple[tuple[Any, Any], ...]:
    """The entries of a mapping, or the pairs of an iterable; a TypeError says what they should mean."""
    entries = values.items() if isinstance(values, Mapping) else tuple_of(name, values)
    try:
        return tuple((first, second) for first, second in entries)
    except (TypeError, ValueError):
        raise TypeError(f"`{name}` must hold pairs of {meaning}. Received: {values!r}") from None


def _features(values: Any) -> tuple[tuple[str, str], ...]:
    """The features by name, so that queries with the same ones are equal."""
    pairs = pairs_of("user_features", values, "a name and a value")
    names = set()
    for pair in pairs:
        if not all(isinstance(text, str) for text in pair):
            raise TypeError(f"`user_features` must hold strings only. Received: {pair!r}")
        if pair[0] in names:
            raise ValueError(f"`user_features` must hold each name once. Received: {pair[0]!r} again")
        names.add(pair[0])
    return tuple(sorted(pairs))


def _new_items(values: Any) -> tuple[NewItem, ...]:
    items = tuple_of("new_items", values)
    for item in items:
        if not isinstance(item, NewItem):
            raise TypeError(f"`new_items` must hold `NewItem`s only. Received: {item!r}")
    return items
