"""The towers that predict ratings, several of them side by side.

    user   the mean of his other ratings; a vector of his id, of his features, of which other items he has rated and of
           how he has rated them, each item with vectors of its own (the sets of SVD++: Koren, "Factorization Meets the
           Neighborhood", 2008)
    item   the mean of its other ratings; a vector of its id, of its features, of which other users have rated it and of
           how they have rated it, each user with vectors of his own
    score  mean + offsets + product of the vectors + a hidden layer on both

Members differ in their initial weights and their dropout only. Each has columns of its own in the tables, so that all
are trained at once, and averaging them is a matter of joining their columns.
"""

from typing import Any

import numpy as np

from rankserve_training.model.backend import keras
from rankserve_training.towers.features import Bags
from rankserve_training.towers.item_raters import ItemRaters, RaterSums
from rankserve_training.towers.layers import BagOfFeatures, Coins, SlotSums
from rankserve_training.towers.placement import Table
from rankserve_training.towers.recipe import RatingRecipe

ops = keras.ops

# Shrinks with the number of ratings as their sum grows, if they are independent.
_SET_POWER = -0.5


class RatingTowers(keras.Model):
    """From batches of whole users to float32[ratings, members]: what each member predicts."""

    def __init__(
        self,
        recipe: RatingRecipe,
        mean: float,
        slots: int,
        item_count: int,
        users: Bags,
        items: Bags,
        raters: ItemRaters | None,
        seed: int,
    ) -> None:
        """Makes the tables.

        Args:
            recipe: sizes and rates.
            mean: of the ratings.
            slots: users in a batch.
            item_count: known items.
            users: features of users, users + 1 entities.
            items: features of items.
            raters: of items; None where they do not count.
            seed: of all that is random.
        """
        super().__init__(name="rating_towers")
        self._recipe, self._mean, self._slots = recipe, mean, slots
        members, width = recipe.members, recipe.members * recipe.width
        seeds = iter(np.random.default_rng(seed).integers(2**31 - 1, size=32).tolist())

        def table(name: str, rows: int, columns: int = width, scale: float = 1.0) -> Table:
            initializer = keras.initializers.RandomNormal(stddev=recipe.initial * scale, seed=next(seeds))
            return Table(rows, columns, initializer, name)

        user_count = len(users.rows) - 1
        self.user_count, self.item_count = user_count, item_count
        self.user_id = table("user_id", user_count + 1)
        self.user_always = table("user_always", 1)
        self.rated_how = table("rated_how", item_count + 1)
        self.rated_at_all = table("rated_at_all", item_count + 1, scale=0.3)
        self.item_id = table("item_id", item_count + 1)
        self.item_always = table("item_always", 1)
        self.user_offset = table("user_offset", user_count + 1, members, scale=0)
        self.item_offset = table("item_offset", item_count + 1, members, scale=0)
        self.item_always_offset = table("item_always_offset", 1, members, scale=0)
        self.user_features = BagOfFeatures(users, width, recipe.initial * 0.3, next(seeds), "user_features")
        self.item_features = BagOfFeatures(items, width, recipe.initial, next(seeds), "item_features")
        self.user_feature_offsets = BagOfFeatures(users, members, 0.0, next(seeds), "user_feature_offsets")
        self.item_feature_offsets = BagOfFeatures(items, members, 0.0, next(seeds), "item_feature_offsets")
        self.mean_scale = self.add_weight((members,), initializer="ones", name="mean_scale")
        of_vectors = keras.initializers.RandomNormal(stddev=recipe.width**-0.5, seed=next(seeds))
        shape = (members, recipe.width, recipe.hidden)
        self.user_kernel = self.add_weight(shape, initializer=of_vectors, name="user_kernel")
        of_vectors = keras.initializers.RandomNormal(stddev=recipe.width**-0.5, seed=next(seeds))
        self.item_kernel = self.add_weight(shape, initializer=of_vectors, name="item_kernel")
        self.hidden_bias = self.add_weight((members, recipe.hidden), initializer="zeros", name="hidden_bias")
        # Zero at first: the hidden layer starts with what the product has left.
        self.output_kernel = self.add_weight((members, recipe.hidden), initializer="zeros", name="output_kernel")
        self.raters = None
        if raters is not None:
            self.rater_how = table("rater_how", user_count + 1)
            self.rater_at_all = table("rater_at_all", user_count + 1, scale=0.3)
            self.raters = RaterSums(raters, self.rater_how, self.rater_at_all)
        self._slot_sums = SlotSums(slots)
        self._coins = Coins(next(seeds), "coins")
        self._user_dropout = keras.layers.Dropout(recipe.dropout, seed=next(seeds))
        self._item_dropout = keras.layers.Dropout(recipe.dropout, seed=next(seeds))
        self._hidden_dropout = keras.layers.Dropout(recipe.dropout, seed=next(seeds))
        self.built = True

    def call(self, batch: dict[str, Any], training: bool = False) -> Any:
        """See the class; `batch` is what `UserBatches` gives, with the columns `residual` and `others_offset`."""
        user, user_offset = self._users(batch, training)
        item, item_offset = self._items(batch, training)
        user, item = self._user_dropout(user, training=training), self._item_dropout(item, training=training)
        user, item = self._by_member(user), self._by_member(item)
        hidden = (
            ops.einsum("nmk,mkh->nmh", user, self.user_kernel)
            + ops.einsum("nmk,mkh->nmh", item, self.item_kernel)
            + self.hidden_bias
        )
        hidden = self._hidden_dropout(ops.relu(hidden), training=training)
        correction = ops.sum(hidden * self.output_kernel, axis=-1)
        return self._mean + user_offset + item_offset + ops.sum(user * item, axis=-1) + correction

    def _by_member(self, vectors: Any) -> Any:
        return ops.reshape(vectors, (-1, self._recipe.members, self._recipe.width))

    def _users(self, batch: dict[str, Any], training: bool) -> tuple[Any, Any]:
        """Vector and offset of the user of each rating, by all that is known of him but this rating."""
        slot, residual = batch["slot"], batch["residual"][:, np.newaxis]
        known = batch["present"][:, np.newaxis] * (self._some_history(slot) if training else 1.0)
        how = self.rated_how(batch["item"]) * known
        at_all = self.rated_at_all(batch["item"]) * known
        # One sum for all: of the columns side by side.
        values = ops.concatenate([how * residual, how, at_all, known * residual, known], axis=1)
        others = ops.take(self._slot_sums(values, slot), slot, axis=0) - values
        width = how.shape[1]
        rated, unrated, implicit = (others[:, place * width : (place + 1) * width] for place in range(3))
        residuals, count = others[:, 3 * width : 3 * width + 1], others[:, 3 * width + 1 :]
        mean = residuals / (self._recipe.shrinkage + count)
        scale = ops.maximum(count, 1.0) ** _SET_POWER
        vector = self.user_always(ops.zeros_like(slot)) + (rated - mean * unrated + implicit) * scale
        with_id, with_features = self._known(training, self._slots, slot)
        vector += with_id * self.user_id(batch["user"]) + with_features * self.user_features(batch["user"])
        offset = mean * self.mean_scale + with_id * self.user_offset(batch["user"])
        return vector, offset + with_features * self.user_feature_offsets(batch["user"])

    def _items(self, batch: dict[str, Any], training: bool) -> tuple[Any, Any]:
        """Vector and offset of the item of each rating."""
        item = batch["item"]
        with_id, with_features = self._known(training, item.shape[0])
        others_offset = batch["others_offset"][:, np.newaxis]
        known = self.item_id(item)
        if self.raters is not None:
            known += self.raters(item, batch["user"], others_offset)
        vector = self.item_always(ops.zeros_like(item)) + with_id * known
        offset = self.item_always_offset(ops.zeros_like(item)) * (1 - with_id)
        offset += with_id * (self.item_offset(item) + others_offset)
        vector += with_features * self.item_features(item)
        return vector, offset + with_features * self.item_feature_offsets(item)

    def _known(self, training: bool, count: int, slot: Any = None) -> tuple[Any, Any]:
        """Of whom the id counts, and of whom the features do: 1 or 0, [ratings, 1]."""
        if not training:
            return 1.0, 1.0
        coins = self._coins.flip(1 - self._recipe.stranger_share, (count, 2))
        coins = coins if slot is None else ops.take(coins, slot, axis=0)
        return coins[:, :1], coins[:, 1:]

    def _some_history(self, slot: Any) -> Any:
        """Which ratings are known: all of them for most users, none for a few, any part of them for the others."""
        shortened = self._coins.flip(self._recipe.short_share, (self._slots, 1))
        left = 1 - shortened * self._coins.uniform((self._slots, 1))
        left *= 1 - self._coins.flip(self._recipe.empty_share, (self._slots, 1))
        return self._coins.flip(ops.take(left, slot, axis=0), (slot.shape[0], 1))
