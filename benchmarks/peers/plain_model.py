"""The model that all peers serve: the plain one, as the hand-written server computes it, for a batch of requests."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

# What the benchmark sends: requests of these numbers of candidates, at most so many at a time.
CANDIDATES = (100, 500)
MOST_REQUESTS = 64
# A batch is computed in slices of so many rows: what lies between the layers then stays in the processor's caches.
_SLICE_ROWS = 4_096
# A slice is filled up to the next of these numbers of requests.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


class PlainModel:
    """Scores int32 users [n] and their candidates [n, candidates]."""

    def __init__(self, weights_file: Path) -> None:
        """Compiles for every size of slice, so that nothing is compiled while it is measured."""
        self._score = _jitted(np.load(weights_file))
        for candidates in CANDIDATES:
            for requests in _SIZES:
                if requests <= _slice_requests(candidates):
                    self(np.zeros(requests, np.int32), np.zeros((requests, candidates), np.int32))

    def __call__(self, users, items):
        """The scores, float32 [n, candidates]."""
        step = _slice_requests(items.shape[1])
        starts = range(0, len(users), step)
        return np.concatenate([self._score_slice(users[at : at + step], items[at : at + step]) for at in starts])

    def _score_slice(self, users, items):
        missing = next(size for size in _SIZES if size >= len(users)) - len(users)
        if not missing:
            return np.asarray(self._score(users, items))
        filled = self._score(np.pad(users, (0, missing)), np.pad(items, ((0, missing), (0, 0))))
        return np.asarray(filled)[: len(users)]


def _slice_requests(candidates: int) -> int:
    """How many requests of so many candidates are computed at once."""
    return max(size for size in _SIZES if size == 1 or size * candidates <= _SLICE_ROWS)


def _jitted(weights):
    users, items = jnp.asarray(weights["users"]), jnp.asarray(weights["items"])
    layers = [(weights[f"{name}_kernel"], weights[f"{name}_bias"]) for name in ("hidden_1", "hidden_2", "label")]

    @jax.jit
    def score(user_rows, item_rows):
        user_vectors = jnp.broadcast_to(users[user_rows][:, None], (*item_rows.shape, users.shape[1]))
        hidden = jnp.concatenate([user_vectors, items[item_rows]], axis=-1).reshape(item_rows.size, -1)
        for kernel, bias in layers[:-1]:
            hidden = jax.nn.relu(hidden @ kernel + bias)
        return (1.0 + 4.0 * (hidden @ layers[-1][0] + layers[-1][1])).reshape(item_rows.shape)

    return score
