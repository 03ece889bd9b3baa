"""Layers that the towers are trained with. What is published is made of Keras' own."""

from typing import Any

import numpy as np

from rankserve_training.model.backend import keras
from rankserve_training.towers.features import Bags

ops = keras.ops


class BagOfFeatures(keras.layers.Layer):
    """The weighted sum of the rows of an entity's features: int32[...] entity rows to float32[..., width]."""

    def __init__(self, bags: Bags, width: int, initial: float, seed: int, name: str) -> None:
        super().__init__(name=name)
        self._rows = np.asarray(bags.rows)
        self._weights = np.asarray(bags.weights)
        initializer = keras.initializers.RandomNormal(stddev=initial, seed=seed)
        self.table = self.add_weight((bags.count, width), initializer=initializer, name="table")
        self.built = True

    def call(self, entities: Any) -> Any:
        """The sums."""
        rows, weights = ops.take(self._rows, entities, axis=0), ops.take(self._weights, entities, axis=0)
        return ops.sum(ops.take(self.table, rows, axis=0) * weights[..., np.newaxis], axis=-2)


class SlotSums(keras.layers.Layer):
    """Sums over the ratings of each user of a batch."""

    def __init__(self, slots: int, name: str = "slot_sums") -> None:
        super().__init__(name=name)
        self._slots = slots
        self.built = True

    def call(self, values: Any, slot: Any) -> Any:
        """float32[ratings, ...] and int32[ratings], ascending, to float32[slots, ...]."""
        return ops.segment_sum(values, slot, num_segments=self._slots, sorted=True)

    def first(self, rows: Any, present: Any, slot: Any) -> Any:
        """The row that all ratings of a slot have, int32[slots]; 0 for an empty slot."""
        return ops.segment_max(rows * ops.cast(present, "int32"), slot, num_segments=self._slots, sorted=True) * (
            ops.cast(self.call(present, slot) > 0, "int32")
        )


class Coins(keras.layers.Layer):
    """1 or 0 at random, as float32."""

    def __init__(self, seed: int, name: str) -> None:
        super().__init__(name=name)
        self._seeds = keras.random.SeedGenerator(seed)
        self.built = True

    def flip(self, chance: Any, shape: tuple[int, ...]) -> Any:
        """`shape` coins, each 1 with its `chance`, a number or an array that fits."""
        return ops.cast(keras.random.uniform(shape, seed=self._seeds) < chance, "float32")

    def uniform(self, shape: tuple[int, ...]) -> Any:
        """Numbers from 0 to 1."""
        return keras.random.uniform(shape, seed=self._seeds)
