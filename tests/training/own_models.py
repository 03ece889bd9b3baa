"""Keras models as users build them, with random weights, and the files that describe their catalogue.

There are four users and six items; their ids have gaps.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras

USER_IDS, ITEM_IDS = [3, 5, 8, 9], [10, 20, 30, 40, 50, 60]
USERS, ITEMS = len(USER_IDS), len(ITEM_IDS)
LARGEST_USER, LARGEST_ITEM = USER_IDS[-1], ITEM_IDS[-1]

Build = Callable[[], keras.Model]
layers = keras.layers


def matrix_factorisation() -> keras.Model:
    """Two embeddings and their product, biases, (n, 1) inputs of int64 in a list, and operations of Keras."""
    user = keras.Input((1,), dtype="int64", name="user_id")
    item = keras.Input((1,), dtype="int64", name="movie")
    vectors = [layers.Flatten()(table(count, 5)(ids)) for count, ids in ((USERS, user), (ITEMS, item))]
    biases = [layers.Flatten()(table(count, 1)(ids)) for count, ids in ((USERS, user), (ITEMS, item))]
    return keras.Model([user, item], keras.ops.sum(vectors[0] * vectors[1], axis=1, keepdims=True) + sum(biases))


def trained_mlp() -> keras.Model:
    """Embeddings of two widths, BatchNormalization, Dropout, regularisation, an output of (n,); compiled."""
    user, item = inputs()
    hidden = layers.Concatenate()([table(USERS, 3, embeddings_regularizer="l2")(user), table(ITEMS, 4)(item)])
    hidden = layers.Dense(16, activation="relu", kernel_initializer="he_normal", kernel_regularizer="l2")(hidden)
    hidden = layers.Dropout(0.3)(layers.BatchNormalization(name="statistics")(hidden))
    hidden = layers.GaussianNoise(0.1)(layers.LeakyReLU()(layers.Dense(8)(hidden)))
    output = layers.Reshape(())(layers.Dense(1, activation="sigmoid")(hidden))
    model = keras.Model({"user": user, "item": item}, output)
    model.compile("adam", keras.losses.BinaryCrossentropy(), metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    statistics = model.get_layer("statistics")
    statistics.set_weights([np.random.default_rng(1).uniform(0.5, 2.0, 16).astype(np.float32) for _ in range(4)])
    return model


def nested_towers(first_row: int = 1) -> keras.Model:
    """A Sequential tower for each side, with a cosine and a scale."""

    def tower(count: int, name: str) -> keras.Model:
        embedding = layers.Embedding(count + first_row, 6)
        start = keras.Input((1,), dtype="int64")
        parts = [start, embedding, layers.Flatten(), layers.Dense(4, activation="gelu"), layers.UnitNormalization()]
        return keras.Sequential(parts, name=name)

    user, item = inputs((1,))
    cosine = layers.Dot(axes=1)([tower(USERS, "user_tower")(user), tower(ITEMS, "item_tower")(item)])
    return keras.Model([user, item], layers.Rescaling(2.0, offset=3.0)(cosine))


def by_id() -> keras.Model:
    """Tables whose rows are ids."""
    user, item = inputs()
    product = layers.Dot(axes=1)([table(LARGEST_USER, 4)(user), table(LARGEST_ITEM, 4)(item)])
    return keras.Model([user, item], product)


def tutorial_form() -> keras.Model:
    """The tutorial's form with names and an order of one's own."""
    user, item = inputs((1,))
    vectors = [layers.Flatten()(table(ITEMS, 4)(item)), layers.Flatten()(table(USERS, 4)(user))]
    hidden = layers.Dense(16, activation="relu")(layers.Concatenate()(vectors))
    hidden = layers.Dropout(0.2)(layers.Dense(8, activation="relu")(hidden))
    return keras.Model([user, item], layers.Dense(1)(hidden))


def inputs(shape: tuple[int, ...] = (), dtype: str = "int32") -> tuple[Any, Any]:
    return keras.Input(shape, dtype=dtype, name="user"), keras.Input(shape, dtype=dtype, name="item")


def table(count: int, width: int, **options: Any) -> keras.layers.Embedding:
    """Of so many known ids and the unknown one."""
    return layers.Embedding(count + 1, width, **options)


def saved(model: keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def write_catalog(directory: Path, order: tuple[int, ...] = tuple(range(ITEMS))) -> tuple[str, ...]:
    """Writes both files, the items in this order, and gives the options that name them."""
    items, users = directory / "items.csv", directory / "users.csv"
    lines = [f'{ITEM_IDS[place]},"Item {ITEM_IDS[place]}",Drama|War' for place in order]
    items.write_text("\n".join(["movieId,title,genres", *lines]))
    users.write_text("\n".join(["userId", *map(str, USER_IDS)]))
    return ("--items", str(items), "--users", str(users))


def keras_scores(path: Path, users: list[int], items: list[int]) -> npt.NDArray[np.float32]:
    """What Keras itself, without us, predicts of pairs of rows; float32[n]."""
    model = keras.saving.load_model(path, compile=False)
    by_side = {"user": np.array(users, np.int32), "item": np.array(items, np.int32)}

    def of(tensor: Any) -> Any:
        return by_side["user" if "user" in tensor.name else "item"].reshape(-1, *tensor.shape[1:])

    fed = keras.tree.map_structure(of, model.input)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX has no int64, and says so
        return np.asarray(model.predict(fed, verbose=0), np.float32).reshape(-1)
