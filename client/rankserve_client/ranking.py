"""The answer to a query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True, slots=True)
class Ranking(Sequence[tuple[int, float]]):
    """Ranked items, best first unless asked for as sent: a sequence of `(item_id, score)`, stored as columns.

    >>> ranking = Ranking((204, 131), (3.75, 3.5), model_name="movielens", model_version=1)
    >>> len(ranking), ranking[0]
    (2, (204, 3.75))
    >>> for item_id, score in ranking:
    ...     print(item_id, score)
    204 3.75
    131 3.5
    """

    item_ids: tuple[int, ...]
    """The items; equal scores keep the order of the request."""

    scores: tuple[float, ...]
    """Predicted ratings on the data set's own scale, one for each item; can lie a little outside of the scale."""

    titles: tuple[str, ...] | None = None
    """One for each item, empty where an item has none; None unless the query asked for titles."""

    unknown_item_ids: tuple[int, ...] = ()
    """The candidates that the model does not know, each once, whether or not they are among `item_ids`."""

    user_known: bool = True
    """False: the model does not know the user and has scored for a new one."""

    model_name: str = ""
    """The model that answered."""

    model_version: int = 0
    """The version that answered, 1 or more."""

    def __len__(self) -> int:
        return len(self.item_ids)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.item_ids, self.scores, strict=True)

    @overload
    def __getitem__(self, index: int) -> tuple[int, float]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[int, float], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[int, float] | tuple[tuple[int, float], ...]:
        if isinstance(index, slice):
            return tuple(zip(self.item_ids[index], self.scores[index], strict=True))
        return self.item_ids[index], self.scores[index]
