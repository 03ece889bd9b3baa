"""How well a model does for users and items that it has not been trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.baselines import item_mean, regularised_biases
from rankserve_training.evaluation.per_user import Int32s, Int64s, run_bounds
from rankserve_training.evaluation.rating_accuracy import Accuracy, accuracy
from rankserve_training.metrics import Floats
from rankserve_training.rows import RatedPairs

# (history, pairs) -> floats[n], predicted ratings of the n pairs. `history` is all that is known of the users in
# `pairs`: their ratings, rows of a user together. It has no row of a user of whom nothing is revealed. The ratings in
# `pairs` must not be looked at.
RateWithHistory = Callable[[RatedPairs, RatedPairs], Floats]


@dataclass(frozen=True)
class ColdUserProtocol:
    """Which users are hidden from training, and how much of them is then revealed.

    Attributes:
        share: of the users that are hidden, between 0 and 1.
        revealed: numbers of ratings to reveal, ascending, 0 or more.
        fewest_tested: a hidden user with fewer ratings than this left after the largest number is revealed is left
            out: 1 or more.
        seed: of the choice of users and of the order in which their ratings are revealed.
    """

    share: float = 0.1
    revealed: tuple[int, ...] = (0, 1, 5, 10, 20)
    fewest_tested: int = 5
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError("`share` should be between 0 and 1.")
        if not self.revealed or self.revealed[0] < 0 or list(self.revealed) != sorted(set(self.revealed)):
            raise ValueError("`revealed` should hold ascending numbers of 0 or more.")
        if self.fewest_tested < 1:
            raise ValueError("`fewest_tested` should be 1 or more.")


@dataclass(frozen=True)
class ColdUsers:
    """Ratings with some users hidden. Rows of the tables keep their numbers.

    Attributes:
        train: the ratings of all other users.
        test: the same rows for every number revealed, those of a user together.
        revealed: numbers of ratings to reveal, as in the protocol.
        users: how many users are tested.
        left_out: how many were hidden, but had too few ratings to be tested.
    """

    train: RatedPairs
    test: RatedPairs
    revealed: tuple[int, ...]
    users: int
    left_out: int
    _history: RatedPairs
    _place_in_history: Int64s

    def history(self, count: int) -> RatedPairs:
        """The first `count` ratings of each tested user; fewer are always among more."""
        return self._history.take(np.flatnonzero(self._place_in_history < count))


@dataclass(frozen=True)
class ColdItems:
    """Ratings with some items hidden. Rows of the tables keep their numbers.

    Attributes:
        train: the ratings of all other items.
        test: the ratings of the hidden ones.
        items: int32[k], the rows of the hidden items, ascending.
    """

    train: RatedPairs
    test: RatedPairs
    items: Int32s


@dataclass(frozen=True)
class ColdStartPoint:
    """The accuracy with so many ratings of each user revealed."""

    revealed: int
    accuracy: Accuracy


@dataclass(frozen=True)
class ColdStartCurve:
    """How the accuracy of one model grows with what is known.

    Attributes:
        name: of the model or baseline.
        points: by rising number of ratings revealed, all on the same test rows.
    """

    name: str
    points: tuple[ColdStartPoint, ...]


def hide_users(pairs: RatedPairs, protocol: ColdUserProtocol) -> ColdUsers:
    """Hides a share of the users.

    Args:
        pairs: all ratings; those of user row 0 are neither trained nor tested on.
        protocol: how.

    Raises:
        ValueError: where no hidden user has enough ratings, or no rating is left to train on.
    """
    rng = np.random.default_rng(protocol.seed)
    hidden = _hidden(pairs.users, protocol.share, rng)
    rows = rng.permutation(np.flatnonzero(hidden))
    rows = rows[np.argsort(pairs.users[rows], kind="stable")]
    first, past = run_bounds(pairs.users[rows])
    enough = past - first >= protocol.revealed[-1] + protocol.fewest_tested
    place = np.arange(len(rows)) - first
    known = enough & (place < protocol.revealed[-1])
    test = pairs.take(rows[enough & ~known])
    train = pairs.take(np.flatnonzero((pairs.users > 0) & ~hidden))
    if not len(test) or not len(train):
        raise ValueError("There are too few users with enough ratings to hide some of them.")
    users = len(np.unique(test.users))
    left_out = len(np.unique(pairs.users[rows])) - users
    return ColdUsers(train, test, protocol.revealed, users, left_out, pairs.take(rows[known]), place[known])


def hide_items(pairs: RatedPairs, share: float = 0.1, seed: int = 42) -> ColdItems:
    """Hides a share of the items.

    Args:
        pairs: all ratings; those of item row 0 are neither trained nor tested on.
        share: of the items, between 0 and 1.
        seed: of the choice.

    Raises:
        ValueError: where the share is not between 0 and 1, or there are fewer than 2 items.
    """
    if not 0 < share < 1:
        raise ValueError("`share` should be between 0 and 1.")
    hidden = _hidden(pairs.items, share, np.random.default_rng(seed))
    train = pairs.take(np.flatnonzero((pairs.items > 0) & ~hidden))
    test = pairs.take(np.flatnonzero(hidden))
    if not len(train):
        raise ValueError("There should be 2 items or more.")
    return ColdItems(train, test, np.unique(test.items))


def cold_start_curves(cold: ColdUsers, models: Mapping[str, RateWithHistory]) -> tuple[ColdStartCurve, ...]:
    """Tests models on the hidden users, with more and more of these revealed.

    Args:
        cold: the hidden users.
        models: by name, each trained on `cold.train`.

    Returns:
        The curves, in the order of `models`.
    """
    return tuple(
        ColdStartCurve(
            name,
            tuple(
                ColdStartPoint(count, accuracy(rate(cold.history(count), cold.test), cold.test.ratings))
                for count in cold.revealed
            ),
        )
        for name, rate in models.items()
    )


def cold_start_baselines(train: RatedPairs, user_count: int, item_count: int) -> dict[str, RateWithHistory]:
    """What a model is compared with: `item mean`, and `biases`, where what is revealed of a user gives his bias.

    Args:
        train: ratings of the users that are not hidden.
        user_count: known users, hidden ones included.
        item_count: known items.
    """
    means = item_mean(train, user_count, item_count)
    biases = regularised_biases(train, user_count, item_count)
    return {
        "item mean": lambda _, pairs: means.rate(pairs),
        "biases": lambda history, pairs: biases.with_history(history).rate(pairs),
    }


def _hidden(rows: Int32s, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which ratings belong to a share of the table rows (but 0), at least one: bool[n]."""
    known = np.unique(rows[rows > 0])
    chosen = rng.choice(known, min(max(round(len(known) * share), 1), len(known)), replace=False)
    return np.isin(rows, chosen)
