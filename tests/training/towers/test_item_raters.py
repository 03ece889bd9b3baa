"""An item's raters: the one whose rating is predicted is not among them, and too many of them are left out."""

import numpy as np
import pytest

from rankserve_training.baselines import regularised_biases
from rankserve_training.model.backend import keras
from rankserve_training.rows import PairsByUser, RatedPairs
from rankserve_training.towers import item_raters
from rankserve_training.towers.item_raters import ItemRaters, RaterSums, item_raters_of
from rankserve_training.towers.offsets import offsets_of
from training.towers.small_world import ITEMS, USERS, small_world

SHRINKAGE = 10.0


def raters_of(train: RatedPairs) -> ItemRaters:
    biases = regularised_biases(train, USERS, ITEMS)
    found = item_raters_of(PairsByUser.of(train, USERS), biases, SHRINKAGE)
    assert found is not None
    return found


def table(seed: int) -> keras.layers.Embedding:
    initializer = keras.initializers.RandomNormal(seed=seed)
    embedding = keras.layers.Embedding(USERS + 1, 3, embeddings_initializer=initializer)
    embedding.build()
    return embedding


def test_a_rating_does_not_show_in_what_it_is_predicted_from() -> None:
    """The sums by all raters but one are those that there are where he has not rated the item."""
    pairs = small_world().pairs
    how, at_all = table(1), table(2)
    others_offsets = offsets_of(pairs, USERS, ITEMS, SHRINKAGE, SHRINKAGE).others_offsets(pairs)
    full = raters_of(pairs)
    everyone_else = RaterSums(full, how, at_all)(pairs.items, pairs.users, others_offsets[:, np.newaxis])
    for row in (0, 57, 399):
        item, user = pairs.items[row], pairs.users[row]
        above_users, rated = full.above_users.copy(), full.rated.copy()
        assert above_users[item, user] != 0
        assert rated[item, user] == 1
        above_users[item, user] = rated[item, user] = 0
        counts = rated.sum(axis=1, keepdims=True)
        without = ItemRaters(above_users, rated, counts, above_users.sum(axis=1, keepdims=True) / (SHRINKAGE + counts))
        expected = RaterSums(without, how, at_all).of_all_items()[item]
        np.testing.assert_allclose(np.asarray(everyone_else)[row], expected, atol=1e-5)


def test_too_many_users_and_items(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = small_world().pairs
    monkeypatch.setattr(item_raters, "_MOST_CELLS", (USERS + 1) * (ITEMS + 1))
    for more, found in ((0, True), (1, False)):
        train = PairsByUser.of(pairs, USERS + more)
        biases = regularised_biases(pairs, USERS + more, ITEMS)
        assert (item_raters_of(train, biases, SHRINKAGE) is not None) == found
