"""The Keras "basic ranking" tutorial in its own words, without rankserve: OUTPUT.npz SEED

It writes the ratings in the order of its split, the trained weights, and the figure and the predictions with which the
tutorial ends. A process of its own runs it, so that no random seed has been set before.

Source: https://keras.io/keras_rs/examples/basic_ranking
"""

import os
import sys
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

ratings = tfds.load("movielens/100k-ratings", split="train")
movies = tfds.load("movielens/100k-movies", split="train")

# The tutorial finds it with a pass over the ratings, which takes seconds.
users_count = 943
movies_count = movies.cardinality().numpy()


def preprocess_rating(x):
    return (
        {
            "user_id": tf.strings.to_number(x["user_id"], out_type=tf.int32),
            "movie_id": tf.strings.to_number(x["movie_id"], out_type=tf.int32),
        },
        (x["user_rating"] - 1.0) / 4.0,
    )


# The first cache is not the tutorial's: it saves parsing everything twice.
shuffled_ratings = ratings.map(preprocess_rating).cache().shuffle(100_000, seed=42, reshuffle_each_iteration=False)
train_ratings = shuffled_ratings.take(80_000).batch(1000).cache()
test_ratings = shuffled_ratings.skip(80_000).take(20_000).batch(1000).cache()


class RankingModel(keras.Model):
    def __init__(self, num_users, num_candidates, embedding_dimension=32, **kwargs):
        super().__init__(**kwargs)
        self.user_embedding = keras.layers.Embedding(num_users, embedding_dimension)
        self.candidate_embedding = keras.layers.Embedding(num_candidates, embedding_dimension)
        self.ratings = keras.Sequential(
            [
                keras.layers.Dense(256, activation="relu"),
                keras.layers.Dense(64, activation="relu"),
                keras.layers.Dense(1),
            ]
        )

    def call(self, inputs):
        user_id, movie_id = inputs["user_id"], inputs["movie_id"]
        user_embeddings = self.user_embedding(user_id)
        candidate_embeddings = self.candidate_embedding(movie_id)
        return self.ratings(keras.ops.concatenate([user_embeddings, candidate_embeddings], axis=1))


# The one line that the tutorial does not have: its weights begin at random.
keras.utils.set_random_seed(int(sys.argv[2]))
model = RankingModel(users_count + 1, int(movies_count) + 1)  # Keras takes no int32
model.compile(
    loss=keras.losses.MeanSquaredError(),
    metrics=[keras.metrics.RootMeanSquaredError()],
    optimizer=keras.optimizers.Adagrad(learning_rate=0.1),
)
model.fit(train_ratings, epochs=5, verbose=0)
evaluated = model.evaluate(test_ratings, return_dict=True, verbose=0)

user_id = 42
movie_ids = [204, 141, 131]
predictions = model.predict(
    {
        "user_id": keras.ops.array([user_id] * len(movie_ids)),
        "movie_id": keras.ops.array(movie_ids),
    },
    verbose=0,
)

columns: dict[str, Any] = {}
for part, batches in (("train", train_ratings), ("test", test_ratings)):
    inputs, labels = zip(*batches.as_numpy_iterator(), strict=True)
    columns[f"{part}_users"] = np.concatenate([batch["user_id"] for batch in inputs])
    columns[f"{part}_movies"] = np.concatenate([batch["movie_id"] for batch in inputs])
    columns[f"{part}_labels"] = np.concatenate(labels)
weights = {f"weights_{number}": array for number, array in enumerate(model.get_weights())}
np.savez(sys.argv[1], rmse=evaluated["root_mean_squared_error"], predictions=predictions[:, 0], **columns, **weights)
