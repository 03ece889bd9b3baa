"""What a model knows of its items and users."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a model's catalogue."""

    item_id: int

    title: str = ""
    """Empty where it has none."""

    genres: tuple[str, ...] = ()
    """Empty where none are known."""

    rating_count: int = 0
    """How many of the model's users had rated it when the model was trained; 0 too where it came without ratings."""


@dataclass(frozen=True, slots=True)
class FoundItems(Sequence[Item]):
    """Items of a model's catalogue: a sequence of `Item`.

    >>> found = FoundItems((Item(204, "Back to the Future (1985)"),), (9999,), "movielens", 1)
    >>> [item.title for item in found], found.unknown_item_ids
    (['Back to the Future (1985)'], (9999,))
    """

    items: tuple[Item, ...]
    """In the order in which they were asked for; of a search, those with the most ratings first."""

    unknown_item_ids: tuple[int, ...] = ()
    """Those that were asked for and that the model does not know, each once; empty of a search."""

    model_name: str = ""
    """The model that answered."""

    model_version: int = 0
    """The version that answered, 1 or more."""

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        return self.items[index]


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What a model knows of a user: which items he has rated, but not how."""

    known: bool
    """Whether the model knows the user at all."""

    seen_count: int = 0
    """How many items he had rated when the model was trained."""

    seen_items: tuple[Item, ...] = ()
    """Of them as many as were asked for, those with the most ratings first."""

    model_name: str = ""
    """The model that answered."""

    model_version: int = 0
    """The version that answered, 1 or more."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What means alone predict of a user and of items: what a model has to beat."""

    scores: tuple[float, ...]
    """Predicted ratings on the data set's own scale, one for each item in the order in which they were asked for."""

    model_name: str = ""
    """The model that answered."""

    model_version: int = 0
    """The version that answered, 1 or more."""
