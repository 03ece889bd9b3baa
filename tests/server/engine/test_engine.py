"""The compiled model against Keras' own predictions."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.engine.buckets import BUCKETS
from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.jax_setup import jax
from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import read_artifact
from rankserve_training.model.folded import DenseLayer, FoldedModel, TableHalf, fold

USERS, ITEMS = 943, 1_682
TOLERANCE = 1e-5

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]

# The sides whose tables stay unfolded.
ALL_FOLDED: tuple[str, ...] = ()
NONE_FOLDED = ("user", "item")

pairs = st.tuples(st.integers(0, USERS), st.integers(0, ITEMS))


def rows(*values: int) -> Rows:
    return np.array(values, np.int32)


def score_all(engine: Engine, users: Rows, items: Rows) -> Scores:
    """Any number of pairs, in full slices."""
    starts = range(0, len(users), engine.slice_rows)
    return np.concatenate(
        [engine.score(users[at : at + engine.slice_rows], items[at : at + engine.slice_rows]) for at in starts]
    )


def score_catalog(engine: Engine, user: int) -> Scores:
    starts = range(0, engine.item_count, engine.slice_rows)
    slices = [(start, min(start + engine.slice_rows, engine.item_count)) for start in starts]
    return np.concatenate([engine.score_catalog(user, start, stop) for start, stop in slices])


@pytest.fixture(scope="module")
def unfolded_movielens(models_dir: Path) -> FoldedModel:
    artifact = read_artifact(models_dir / "movielens" / "1")
    return fold(artifact.load_keras_model(), artifact.manifest.training.architecture, max_table_bytes=0)


@pytest.fixture(
    scope="module",
    params=[ALL_FOLDED, ("user",), ("item",), NONE_FOLDED],
    ids=lambda sides: f"unfolded:{'+'.join(sides)}",
)
def engine(request: pytest.FixtureRequest, unfolded_movielens: FoldedModel) -> Engine:
    """The real model, with every choice of tables that are folded: all promises hold for each."""
    return compile_engine(folded_but(unfolded_movielens, request.param))


@pytest.fixture(scope="module")
def pair_scores(engine: Engine) -> Scores:
    """Every pair, unknown ones included, by `score`."""
    users, items = np.meshgrid(
        np.arange(USERS + 1, dtype=np.int32), np.arange(ITEMS + 1, dtype=np.int32), indexing="ij"
    )
    return score_all(engine, users.ravel(), items.ravel()).reshape(USERS + 1, ITEMS + 1)


def test_every_pair_scores_as_in_keras(pair_scores: Scores, keras_scores: Scores) -> None:
    assert keras_scores.shape == (USERS + 1, ITEMS + 1)
    np.testing.assert_allclose(pair_scores, keras_scores, rtol=0, atol=TOLERANCE)


def test_the_catalogue_scores_bit_for_bit_as_its_pairs(engine: Engine, pair_scores: Scores) -> None:
    catalog_scores = np.array([score_catalog(engine, user) for user in range(USERS + 1)])
    np.testing.assert_array_equal(catalog_scores, pair_scores[:, 1:])


def test_scores_are_float32_of_the_asked_length(engine: Engine) -> None:
    for count in (1, 2, 3, 7, 8, 9, 100, 1_000, engine.slice_rows):
        scores = engine.score(np.ones(count, np.int32), np.ones(count, np.int32))
        assert scores.dtype == np.float32
        assert scores.shape == (count,)
    assert engine.score_catalog(1, 0, ITEMS).shape == (ITEMS,)
    assert engine.score_catalog(1, 0, 1).shape == (1,)


@settings(max_examples=200, deadline=None)
@given(
    pair=pairs, bucket=st.sampled_from(BUCKETS), place=st.floats(0, 1, exclude_max=True), seed=st.integers(0, 2**32 - 1)
)
def test_a_score_does_not_depend_on_its_batch(
    engine: Engine, pair_scores: Scores, pair: tuple[int, int], bucket: int, place: float, seed: int
) -> None:
    """Whatever the bucket, the place in it, the neighbours and the padding."""
    random = np.random.default_rng(seed)
    count = int(random.integers(bucket // 2 + 1, bucket + 1))
    users, items = random.integers(0, USERS + 1, count), random.integers(0, ITEMS + 1, count)
    at = int(place * count)
    users[at], items[at] = pair
    scores = engine.score(users.astype(np.int32), items.astype(np.int32))
    assert scores[at] == pair_scores[pair]
    np.testing.assert_array_equal(scores, pair_scores[users, items])


@given(st.lists(pairs, min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_order_of_pairs_changes_nothing_but_their_order(engine: Engine, batch: list[tuple[int, int]]) -> None:
    users, items = (np.array(column, np.int32) for column in zip(*batch, strict=True))
    scores = engine.score(users, items)
    np.testing.assert_array_equal(engine.score(users[::-1].copy(), items[::-1].copy()), scores[::-1])


def test_threads_share_it(engine: Engine, pair_scores: Scores) -> None:
    start = threading.Barrier(4)

    def check(seed: int) -> None:
        random = np.random.default_rng(seed)
        start.wait()
        for _ in range(50):
            users = random.integers(0, USERS + 1, 100).astype(np.int32)
            items = random.integers(0, ITEMS + 1, 100).astype(np.int32)
            np.testing.assert_array_equal(engine.score(users, items), pair_scores[users, items])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(4)))


def test_nothing_compiles_once_it_is_built(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="jax"), jax.log_compiles():
        for count in (*range(1, 34), 500, 1_000, 2_047, engine.slice_rows):
            engine.score(np.ones(count, np.int32), np.ones(count, np.int32))
        score_catalog(engine, 0)
        score_catalog(engine, 42)
        assert not compilations(caplog)
        jax.jit(lambda number: number * 3 + 1)(np.float32(2))
        assert compilations(caplog), "a compilation would not have been seen"


def test_the_caller_may_change_the_rows_and_scores_afterwards(engine: Engine, pair_scores: Scores) -> None:
    users, items = rows(*range(1, 9)), rows(*range(1, 9))
    scores = engine.score(users, items)
    expected = scores.copy()
    users[:], items[:] = 0, 0
    engine.score(users, items)
    np.testing.assert_array_equal(scores, expected)
    np.testing.assert_array_equal(scores, [pair_scores[row, row] for row in range(1, 9)])


def test_what_the_checkpoint_raises_ends_the_loading() -> None:
    class StoppedError(Exception):
        pass

    calls = 0

    def checkpoint() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        compile_engine(folded_model(items=3), checkpoint)
    assert calls == 3


# The table has a row more; a slice has 2,048 rows.
@pytest.mark.usefixtures("few_buckets")
@pytest.mark.parametrize(
    ("items", "unfolded"), [(1, ALL_FOLDED), (2_047, NONE_FOLDED), (2_048, ALL_FOLDED), (5_000, NONE_FOLDED)], ids=str
)
def test_catalogues_of_every_size_are_scored_to_the_last_item(items: int, unfolded: tuple[str, ...]) -> None:
    model = folded_model(items, unfolded=unfolded)
    engine = compile_engine(model)
    assert engine.item_count == items
    expected = [reference_score(model, 2, row) for row in range(1, items + 1)]
    scores = score_catalog(engine, 2)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=TOLERANCE)
    pairs = score_all(engine, np.full(items, 2, np.int32), np.arange(1, items + 1, dtype=np.int32))
    np.testing.assert_array_equal(scores, pairs)


# In the order in which XLA was seen to treat them differently: small batches of the second one get other last bits, and
# so does a user of the third one that is multiplied alone.
@pytest.mark.parametrize(
    ("width", "hidden", "unfolded"),
    [(256, (64,), NONE_FOLDED), (512, (128,), ALL_FOLDED), (512, (128,), NONE_FOLDED), (96, (40, 24), ("user",))],
    ids=str,
)
def test_models_of_other_sizes_score_the_same_in_every_batch_too(
    width: int, hidden: tuple[int, ...], unfolded: tuple[str, ...]
) -> None:
    model = folded_model(items=3_000, users=50, width=width, hidden=hidden, unfolded=unfolded)
    engine = compile_engine(model)
    random = np.random.default_rng(1)
    users = random.integers(0, 51, 4_096).astype(np.int32)
    items = random.integers(0, 3_001, 4_096).astype(np.int32)
    expected = score_all(engine, users, items)
    for count in (1, 5, 8, 9, 31, 32, 33, 64, 100, 129, 500, 1_000, 2_047):
        for start in random.integers(0, 4_096 - count, 20).tolist():
            part = slice(start, start + count)
            np.testing.assert_array_equal(engine.score(users[part], items[part]), expected[part])
    everything = score_all(engine, np.full(3_000, 7, np.int32), np.arange(1, 3_001, dtype=np.int32))
    np.testing.assert_array_equal(score_catalog(engine, 7), everything)


def test_the_loaded_model_knows_its_sizes(movielens: LoadedModel) -> None:
    assert (len(movielens.users), len(movielens.catalog), movielens.engine.item_count) == (USERS, ITEMS, ITEMS)


def compilations(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "ompil" in record.getMessage()]


def folded_but(model: FoldedModel, unfolded: tuple[str, ...]) -> FoldedModel:
    """A model with everything folded but these sides."""
    return replace(
        model,
        user_half=model.user_half if "user" in unfolded else model.user_half.folded(),
        item_half=model.item_half if "item" in unfolded else model.item_half.folded(),
    )


def folded_model(
    items: int,
    users: int = 3,
    width: int = 8,
    hidden: tuple[int, ...] = (4,),
    unfolded: tuple[str, ...] = ALL_FOLDED,
) -> FoldedModel:
    random = np.random.default_rng(items)

    def table(*shape: int) -> Scores:
        return np.asarray(random.normal(size=shape) / np.sqrt(shape[-1]), np.float32)

    model = FoldedModel(
        user_half=TableHalf(table(users + 1, 16), DenseLayer(table(16, width), table(width))),
        item_half=TableHalf(table(items + 1, 16), DenseLayer(table(16, width), table(width))),
        hidden=tuple(DenseLayer(table(*shape), table(shape[1])) for shape in pairwise((width, *hidden))),
        output=DenseLayer(table(hidden[-1], 1), table(1)),
        scale=4.0,
        offset=1.0,
    )
    return folded_but(model, unfolded)


def reference_score(model: FoldedModel, user: int, item: int) -> float:
    """The formula of `FoldedModel`, number by number."""
    activation = [
        max(0.0, left + right)
        for left, right in zip(first_sums(model.user_half, user), first_sums(model.item_half, item), strict=True)
    ]
    for layer in model.hidden:
        activation = [max(0.0, value) for value in dense(layer, activation)]
    (label,) = dense(model.output, activation)
    return model.offset + model.scale * label


def first_sums(half: TableHalf, row: int) -> list[float]:
    values: list[float] = half.table[row].tolist()
    return values if half.layer is None else dense(half.layer, values)


def dense(layer: DenseLayer, inputs: list[float]) -> list[float]:
    columns = zip(*layer.kernel.tolist(), strict=True)
    products = [sum(value * weight for value, weight in zip(inputs, column, strict=True)) for column in columns]
    return [product + bias for product, bias in zip(products, layer.bias.tolist(), strict=True)]
