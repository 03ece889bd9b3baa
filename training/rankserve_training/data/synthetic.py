"""Ratings drawn at random, of any size: for measuring how long training takes and how much memory.

They need no network and no disk. Nothing about the quality of a model on real ratings follows from them.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rankserve_training.data.dataset import Dataset, Float32s, Int64s, Items, Ratings, RatingScale, Users

# Users, items and ratings, about as many as MovieLens 1M and 10M have.
SIZES = {"synthetic/1m": (6_000, 4_000, 1_000_000), "synthetic/10m": (70_000, 10_000, 10_000_000)}

_SEED = 42
_SCALE = RatingScale(1.0, 5.0)
_MEAN = 3.5
# Standard deviations, on the rating scale. Rounding to whole ratings adds to the noise: no model gets below an RMSE of
# about 0.75.
_USER_BIAS = 0.4
_ITEM_BIAS = 0.5
_TASTE = 0.5
_NOISE = 0.7
_RANK = 8

_ROWS_AT_ONCE = 1 << 18
_EPOCH = 946_684_800
_SECONDS = 20 * 365 * 86_400


def load_synthetic(name: str) -> Dataset:
    """The data set of one of the names in `SIZES`: for measuring the time and the memory that training takes.

    Deterministic: the same name gives the same ratings, with the same release of NumPy.
    """
    return replace(synthetic_ratings(*SIZES[name], seed=_SEED), name=name)


def synthetic_ratings(users: int, items: int, count: int, seed: int) -> Dataset:
    """Ratings from 1 to 5 in whole steps, in random order, drawn from a low-rank model with biases.

    A rating is the overall mean, the bias of its user, the bias of its item, the product of their hidden vectors and
    noise, rounded to the scale. How much users rate and items are rated is long-tailed (Zipf's law, flattened at its
    head). No user rates an item twice: repeats are drawn anew, which flattens the head somewhat more.

    Takes some seconds for ten million, and at its peak hardly more memory than the ratings themselves.

    Args:
        users: how many; their ids are 1 to this. Where there are few ratings, some may have none.
        items: likewise.
        count: how many ratings, at most half of all pairs.
        seed: of everything that is drawn.

    Returns:
        Items without titles, users without features, and timestamps at random in the twenty years from 2000.

    Raises:
        ValueError: if `count` is less than 1 or more than half of all pairs.
    """
    if not 1 <= count <= users * items // 2:
        raise ValueError(f"`count` should be from 1 to half of the {users * items} pairs, not {count}.")
    random = np.random.default_rng(seed)
    user_rows, item_rows = _pairs(random, users, items, count)
    values = _values(random, users, items, user_rows, item_rows)
    user_rows += 1
    item_rows += 1
    timestamps = random.integers(_EPOCH, _EPOCH + _SECONDS, count)
    return Dataset(
        name=f"synthetic/{users}x{items}x{count}",
        source="random numbers, for measuring",
        ratings=Ratings(user_rows, item_rows, values, timestamps),
        test_ratings=None,
        items=Items(np.arange(1, items + 1), ("",) * items, ((),) * items),
        users=Users(np.arange(1, users + 1)),
        scale=_SCALE,
    )


def _pairs(random: np.random.Generator, users: int, items: int, count: int) -> tuple[Int64s, Int64s]:
    """Rows of users and of items, from 0, each pair once, in random order."""
    user_shares, item_shares = _popularity(random, users), _popularity(random, items)
    # A pair is one number while they are compared.
    pairs: Int64s = np.empty(0, np.int64)
    while len(pairs) < count:
        missing = count - len(pairs)
        drawn = [
            _draw(random, user_shares, size) * items + _draw(random, item_shares, size)
            for size in _chunk_sizes(missing + missing // 4)
        ]
        pairs = np.concatenate([pairs, *drawn])
        del drawn
        pairs.sort()
        pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    random.shuffle(pairs)
    return np.divmod(pairs[:count], items)


def _popularity(random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    """The cumulated shares of `count` users or items, in random order; the last one is 1."""
    ranks = random.permutation(count)
    shares: npt.NDArray[np.float64] = np.cumsum(1 / (ranks + 1 + count / 50))
    shares /= shares[-1]
    return shares


def _draw(random: np.random.Generator, shares: npt.NDArray[np.float64], count: int) -> Int64s:
    return np.searchsorted(shares, random.random(count), side="right").astype(np.int64)


def _chunk_sizes(count: int) -> list[int]:
    return [min(_ROWS_AT_ONCE, count - start) for start in range(0, count, _ROWS_AT_ONCE)]


def _values(random: np.random.Generator, users: int, items: int, user_rows: Int64s, item_rows: Int64s) -> Float32s:
    user_biases, user_tastes = _hidden(random, users, _USER_BIAS)
    item_biases, item_tastes = _hidden(random, items, _ITEM_BIAS)
    values = np.empty(len(user_rows), np.float32)
    for start in range(0, len(values), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        chunk, user, item = values[rows], user_rows[rows], item_rows[rows]
        chunk[:] = _NOISE * random.standard_normal(len(chunk), np.float32)
        chunk += _MEAN + user_biases[user] + item_biases[item]
        chunk += np.einsum("nk,nk->n", user_tastes[user], item_tastes[item])
        np.clip(np.rint(chunk, out=chunk), _SCALE.minimum, _SCALE.maximum, out=chunk)
    return values


def _hidden(random: np.random.Generator, count: int, bias: float) -> tuple[Float32s, Float32s]:
    """Biases, float32[count], and vectors, float32[count, rank], whose products have the deviation `_TASTE`."""
    biases = random.normal(0, bias, count).astype(np.float32)
    vectors = random.normal(0, (_TASTE / _RANK**0.5) ** 0.5, (count, _RANK)).astype(np.float32)
    return biases, vectors
