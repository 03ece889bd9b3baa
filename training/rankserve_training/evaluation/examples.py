"""Users with what they have rated and what is recommended to them, so that people can judge."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.evaluation.catalogue import recommend
from rankserve_training.evaluation.per_user import Int32s, ItemsByUser
from rankserve_training.evaluation.scorer import Scorer
from rankserve_training.rows import RatedPairs

_HISTORY = 10


@dataclass(frozen=True)
class RatedTitle:
    """An item and the rating that a user gave it."""

    title: str
    rating: float


@dataclass(frozen=True)
class RecommendedTitle:
    """An item that is recommended to a user.

    Attributes:
        title: of the item.
        predicted: rating.
        held_out: the rating that the user gave the item in the test rows; None where it is not in them.
    """

    title: str
    predicted: float
    held_out: float | None


@dataclass(frozen=True)
class ExampleUser:
    """A user.

    Attributes:
        user: the id, for people.
        history: of his training ratings the highest, falling.
        history_count: how many training ratings he has.
        recommended: best first.
        held_out_count: how many items he has in the test rows.
    """

    user: str
    history: tuple[RatedTitle, ...]
    history_count: int
    recommended: tuple[RecommendedTitle, ...]
    held_out_count: int


def example_users(
    scorer: Scorer,
    train: RatedPairs,
    test: RatedPairs,
    user_ids: npt.NDArray[np.int64],
    titles: Sequence[str],
    count: int = 3,
    seed: int = 42,
) -> tuple[ExampleUser, ...]:
    """Some users drawn at random from those with training and test rows.

    Args:
        scorer: the model.
        train: its training rows.
        test: held-out rows.
        user_ids: int64[users]; row r of the table is `user_ids[r - 1]`.
        titles: of all items, likewise; one without a title is called by its row.
        count: the most users to show.
        seed: of the choice.
    """
    known = np.intersect1d(train.users[train.users > 0], test.users[test.users > 0])
    users = np.random.default_rng(seed).permutation(known)[:count]
    if not len(users):
        return ()
    recommended = recommend(scorer, users, ItemsByUser.of(train, len(user_ids)), len(titles))
    return tuple(
        _example(scorer, train, test, user, items[items > 0], str(user_ids[user - 1]), titles)
        for user, items in zip(users, recommended, strict=True)
    )


def _example(
    scorer: Scorer, train: RatedPairs, test: RatedPairs, user: int, items: Int32s, name: str, titles: Sequence[str]
) -> ExampleUser:
    history = train.take(np.flatnonzero(train.users == user))
    history = history.take(np.argsort(-history.ratings, kind="stable"))
    held_out = test.take(np.flatnonzero(test.users == user))
    given = dict(zip(held_out.items.tolist(), held_out.ratings.tolist(), strict=True))
    wanted = RatedPairs(np.full(len(items), user, np.int32), items, np.zeros(len(items), np.float32))
    return ExampleUser(
        user=name,
        history=tuple(
            RatedTitle(_title(item, titles), rating)
            for item, rating in zip(history.items[:_HISTORY].tolist(), history.ratings[:_HISTORY].tolist(), strict=True)
        ),
        history_count=len(history),
        recommended=tuple(
            RecommendedTitle(_title(item, titles), float(predicted), given.get(item))
            for item, predicted in zip(items.tolist(), scorer.rate(wanted), strict=True)
        ),
        held_out_count=len(given),
    )


def _title(item: int, titles: Sequence[str]) -> str:
    return (titles[item - 1] if item else "") or f"item in row {item}"
