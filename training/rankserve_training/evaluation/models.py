"""Published models as scorers."""

import numpy as np
import numpy.typing as npt

from rankserve_training.metrics import Floats
from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Newcomers
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.model.two_tower import ARCHITECTURE, TowerRows, head_of, known_pairs_model, rows_of
from rankserve_training.rows import RatedPairs


class ModelScorer:
    """A model of known users and items. Prefers by its second output or, where it has none, by predicted rating."""

    def __init__(self, model: keras.Model, item_count: int) -> None:
        self._model = model
        self._items: npt.NDArray[np.int32] = np.arange(1, item_count + 1, dtype=np.int32)
        self._towers = model.name == ARCHITECTURE

    def rate(self, pairs: RatedPairs) -> npt.NDArray[np.float32]:
        """Predicted ratings, float32[n]."""
        return predict_ratings(self._model, pairs.users, pairs.items)

    def prefer(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Preferences over all items, float32[b, items]."""
        if self._towers:
            items = rows_of(self._model, "item").choice
            preferences: npt.NDArray[np.float32] = rows_of(self._model, "user").choice[users] @ items[1:].T
            return preferences
        pairs = np.repeat(users, len(self._items)), np.tile(self._items, len(users))
        ratings = predict_ratings(self._model, *pairs)
        return ratings.reshape(len(users), -1)


class NewcomerRater:
    """Rates for users of whom only some ratings are known, as a server does with `history`."""

    def __init__(self, model: keras.Model, newcomers_model: keras.Model, newcomers: Newcomers) -> None:
        self._items = rows_of(model, "item")
        self._average = rows_of(model, "user").take(np.zeros(1, np.int32))
        self._bag = rows_of(newcomers_model, "user")
        self._head = head_of(model)
        self._newcomers = newcomers

    def __call__(self, history: RatedPairs, pairs: RatedPairs) -> Floats:
        """Predicted ratings of `pairs`, float32[n], by what `history` says of each of their users."""
        users, places = np.unique(pairs.users, return_inverse=True)
        rows = TowerRows.joined([self._row(history, user) for user in users.tolist()])
        model = known_pairs_model(rows, self._items, self._head)
        return predict_ratings(model, places.astype(np.int32), pairs.items)

    def _row(self, history: RatedPairs, user: int) -> TowerRows:
        own = np.flatnonzero((history.users == user) & (history.items > 0))
        if not len(own):
            return self._average
        return self._bag.summed(self._newcomers.user(history.items[own], history.ratings[own]))


class ItemNewcomerRater:
    """Rates items of which nothing is known but their genres and year."""

    def __init__(
        self,
        model: keras.Model,
        newcomers_model: keras.Model,
        newcomers: Newcomers,
        described: dict[int, tuple[tuple[str, ...], int]],
    ) -> None:
        """Takes the genres and the year of each item row that will be asked for."""
        self._users = rows_of(model, "user")
        self._bag = rows_of(newcomers_model, "item")
        self._head = head_of(model)
        self._newcomers = newcomers
        self._described = described

    def rate(self, pairs: RatedPairs) -> Floats:
        """Predicted ratings, float32[n]."""
        items, places = np.unique(pairs.items, return_inverse=True)
        entries = [self._newcomers.item(*self._described[item]) for item in items.tolist()]
        rows = TowerRows.joined([self._bag.summed(each) for each in entries])
        model = known_pairs_model(self._users, rows, self._head)
        return predict_ratings(model, pairs.users, places.astype(np.int32))
