"""The towers that predict what a user chooses to rate, whatever he then thinks of it.

    user   a vector of his features and of what he has chosen, each item with a vector of its own
    item   a vector of its id and of its features, and how often it is chosen

Trained as an autoencoder of sets with a multinomial likelihood (Liang et al., "Variational Autoencoders for
Collaborative Filtering", 2018, their Mult-DAE, without its nonlinearity): from a part of what a user has chosen, all of
it is predicted, among all items.
"""

from typing import Any

import numpy as np

from rankserve_training.model.backend import keras
from rankserve_training.rows import Int32s
from rankserve_training.towers.features import Bags
from rankserve_training.towers.layers import BagOfFeatures, Coins, SlotSums
from rankserve_training.towers.placement import Table, is_placed, is_sharded, split
from rankserve_training.towers.recipe import ChoiceRecipe

ops = keras.ops

# The logarithm of a probability that is none.
_NEVER = -1e9


class ChoiceTowers(keras.Model):
    """From batches of whole users to float32[ratings, 1]: the logarithm of the probability of each choice."""

    def __init__(
        self, recipe: ChoiceRecipe, item_counts: Int32s, slots: int, users: Bags, items: Bags, seed: int
    ) -> None:
        """Makes the tables.

        Args:
            recipe: sizes and rates.
            item_counts: int32[items + 1], how often each was chosen, where its popularity starts.
            slots: users in a batch.
            users: features of users, users + 1 entities.
            items: features of items.
            seed: of all that is random.
        """
        super().__init__(name="choice_towers")
        self._recipe, self._slots = recipe, slots
        item_count = len(item_counts) - 1
        seeds = iter(np.random.default_rng(seed).integers(2**31 - 1, size=32).tolist())

        def table(name: str, rows: int) -> Table:
            initializer = keras.initializers.RandomNormal(stddev=recipe.initial, seed=next(seeds))
            return Table(rows, recipe.width, initializer, name)

        self.user_always = table("user_always", 1)
        self.chosen = table("chosen", item_count + 1)
        self.item_id = table("item_id", item_count + 1)
        self.user_features = BagOfFeatures(users, recipe.width, recipe.initial, next(seeds), "user_features")
        self.item_features = BagOfFeatures(items, recipe.width, recipe.initial, next(seeds), "item_features")
        self.popularity = self.add_weight((item_count + 1,), initializer="zeros", name="popularity")
        self.popularity.assign(np.log(item_counts.astype(np.float32) + 1))
        self._all_items = np.arange(item_count + 1, dtype=np.int32)
        self._slot_sums = SlotSums(slots)
        self._coins = Coins(next(seeds), "coins")
        self._dropout = keras.layers.Dropout(recipe.dropout, seed=next(seeds))
        self.built = True

    def call(self, batch: dict[str, Any], training: bool = False) -> Any:
        """See the class; `batch` is what `UserBatches` gives."""
        slot, present = batch["slot"], batch["present"][:, np.newaxis]
        known = present
        if training:
            kept = 1 - self._recipe.entry_dropout
            known = present * self._coins.flip(kept, (slot.shape[0], 1)) / kept
        values = ops.concatenate([self.chosen(batch["item"]) * known, present], axis=1)
        sums = self._slot_sums(values, slot)
        scale = ops.maximum(sums[:, -1:], 1.0) ** -0.5
        users = self._slot_sums.first(batch["user"], batch["present"], slot)
        vectors = (
            self.user_always(ops.zeros((self._slots,), "int32")) + sums[:, :-1] * scale + self.user_features(users)
        )
        if is_placed():
            return self._split_call(self._dropout(vectors, training=training), batch["item"], slot)
        items = self.item_id(self._all_items) + self.item_features(self._all_items)
        logits = self._dropout(vectors, training=training) @ ops.transpose(items) + self.popularity
        # Row 0 is nobody's choice.
        probabilities = ops.log_softmax(logits[:, 1:], axis=-1)
        places = slot * probabilities.shape[1] + ops.maximum(batch["item"] - 1, 0)
        return ops.take(ops.reshape(probabilities, (-1,)), places)[:, np.newaxis]

    def _split_call(self, vectors: Any, item: Any, slot: Any) -> Any:
        """The same of users' vectors by several devices, each of which looks at some users, or at some items."""
        table = self.item_id.embeddings
        if not is_sharded(table):
            vectors = split(vectors)
        # A sharded table may end with rows of no item.
        every = np.pad(self._all_items, (0, table.shape[0] - len(self._all_items)))
        popularity = ops.take(self.popularity, every) + np.where(every > 0, 0, _NEVER).astype(np.float32)
        logits = vectors @ ops.transpose(table + self.item_features(every)) + popularity
        of_all = ops.logsumexp(logits, axis=-1)
        chosen = self.item_id(item) + self.item_features(item)
        logit = ops.sum(ops.take(vectors, slot, axis=0) * chosen, axis=-1) + ops.take(self.popularity, item)
        return (logit - ops.take(of_all, slot))[:, np.newaxis]


def unlikelihood(_: Any, log_probability: Any) -> Any:
    """The loss: how unlikely the choices are, in nats; float32[ratings]."""
    return -log_probability[:, 0]
