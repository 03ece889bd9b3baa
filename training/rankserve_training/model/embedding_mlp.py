"""The model of the Keras "basic ranking" tutorial: two embeddings, concatenated, and dense layers.

Source: https://keras.io/keras_rs/examples/basic_ranking
"""

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig

ARCHITECTURE = "embedding_mlp"


def build_embedding_mlp(user_count: int, item_count: int, config: EmbeddingMlpConfig) -> keras.Model:
    """A new model from rows to labels, as it is trained.

    Args:
        user_count: known users; the table has a row more, row 0.
        item_count: known items; likewise.
        config: sizes.

    Returns:
        A model of inputs `user` and `item`, int32[n], and one output, float32[n, 1]: the label, 0 for the lowest
        rating of the scale and 1 for the highest.
    """
    user = keras.Input((), dtype="int32", name="user")
    item = keras.Input((), dtype="int32", name="item")
    user_vector = keras.layers.Embedding(user_count + 1, config.embedding_width, name="user_embedding")(user)
    item_vector = keras.layers.Embedding(item_count + 1, config.embedding_width, name="item_embedding")(item)
    hidden = keras.layers.Concatenate(name="pair")([user_vector, item_vector])
    for number, width in enumerate(config.hidden_widths, start=1):
        hidden = keras.layers.Dense(width, activation="relu", name=f"hidden_{number}")(hidden)
    label = keras.layers.Dense(1, name="label")(hidden)
    return keras.Model({"user": user, "item": item}, label, name=ARCHITECTURE)


def with_average_strangers(
    model: keras.Model, known_users: npt.NDArray[np.int32], known_items: npt.NDArray[np.int32]
) -> None:
    """Makes row 0 of each table the average of the rows that were trained; in place.

    Nothing trains row 0, so it would hold the random numbers that it started with; as an average it stands for the
    user, and the item, of whom nothing is known.

    Args:
        model: built by `build_embedding_mlp`, trained.
        known_users: int32[k], the rows of the users that have training ratings, each once.
        known_items: int32[k], likewise for items.
    """
    for name, rows in (("user_embedding", known_users), ("item_embedding", known_items)):
        layer = model.get_layer(name)
        table = np.array(layer.get_weights()[0])
        table[0] = table[rows].mean(axis=0)
        layer.set_weights([table])


def on_rating_scale(model: keras.Model, minimum: float, span: float) -> keras.Model:
    """The model as it is published: the same weights, with predicted ratings (`minimum + span * label`) as output.

    The tutorial prints `5 * label`; its label is `(rating - 1) / 4`, so that the rating is `1 + 4 * label`.
    """
    rating = keras.layers.Rescaling(span, offset=minimum, name="rating")(model.output)
    return keras.Model(model.input, rating, name=model.name)
