"""The answer to a query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

UserBasis = Literal["known", "known+history", "history", "features", "history+features", "average"]


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
    """The items: by `choice_scores` where there are any, else by `scores`; equal ones keep the order of the request."""

    scores: tuple[float, ...]
    """Predicted ratings on the data set's own scale, one for each item, whatever the items were ranked by; with some
    models they can lie a little outside of the scale."""

    titles: tuple[str, ...] | None = None
    """One for each item, empty where an item has none; None unless the query asked for titles."""

    unknown_item_ids: tuple[int, ...] = ()
    """The candidates that the model does not know, each once, whether or not they are among `item_ids`."""

    user_known: bool = True
    """False: the model does not know the user and has scored for a new one; see `user_basis`."""

    model_name: str = ""
    """The model that answered."""

    model_version: int = 0
    """The version that answered, 1 or more."""

    choice_scores: tuple[float, ...] | None = None
    """How likely the user is to choose each item, higher is likelier; None unless ranked by choice (and where no item
    is left). The difference of two is the logarithm of how many times likelier the one is than the other; comparable
    only within one ranking."""

    user_basis: UserBasis = "known"
    """What the user was scored by: what the model knows of it ("known"), the `history` and `features` of the query, or,
    where there is nothing of that that the model can use, as the "average" user."""

    described_item_ids: tuple[int, ...] = ()
    """Those of `unknown_item_ids` that were scored by `new_items` of the query; the others as the average item."""

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
