"""Models of two towers, with two scores for each pair, against their definition in float64."""

import logging

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.engine.buckets import BUCKETS
from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.jax_setup import jax
from rankserve_training.model.folded import DenseLayer, FoldedModel, TableHalf, Towers

USERS, ITEMS = 50, 3_000
TOLERANCE = 2e-5

Scores = npt.NDArray[np.float32]
Tables = npt.NDArray[np.float64]


def tower_model(hidden: int, embedding: int, choice: int, users: int = USERS, items: int = ITEMS) -> FoldedModel:
    random = np.random.default_rng(hidden)

    def table(rows: int, columns: int) -> Scores:
        return np.asarray(random.normal(size=(rows + 1, columns)) / np.sqrt(columns), np.float32)

    return FoldedModel(
        user_half=TableHalf(table(users, hidden), None),
        item_half=TableHalf(table(items, hidden), None),
        hidden=(),
        output=DenseLayer(table(hidden - 1, 1), np.zeros(1, np.float32)),
        scale=1.0,
        offset=0.0,
        rating_towers=Towers(table(users, embedding), table(items, embedding)),
        choice_towers=Towers(table(users, choice), table(items, choice)),
        bounds=(-1.0, 1.0),
    )


def expected_scores(model: FoldedModel, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]) -> Tables:
    """float64[2, n]."""
    assert model.rating_towers is not None
    assert model.choice_towers is not None

    def rows(table: Scores, places: npt.NDArray[np.int32]) -> Tables:
        return table[places].astype(np.float64)

    sums = rows(model.user_half.table, users) + rows(model.item_half.table, items)
    rating = np.maximum(sums, 0) @ model.output.kernel[:, 0].astype(np.float64)
    rating += (rows(model.rating_towers.user, users) * rows(model.rating_towers.item, items)).sum(axis=1)
    choice = (rows(model.choice_towers.user, users) * rows(model.choice_towers.item, items)).sum(axis=1)
    return np.stack([rating.clip(-1, 1), choice])


@pytest.fixture(scope="module", params=[(128, 100, 65), (40, 24, 1), (256, 33, 128)], ids=str)
def model(request: pytest.FixtureRequest) -> FoldedModel:
    return tower_model(*request.param)


@pytest.fixture(scope="module")
def engine(model: FoldedModel) -> Engine:
    return compile_engine(model)


@pytest.fixture(scope="module")
def every_pair(engine: Engine) -> Scores:
    """By `score`: float32[2, users + 1, items + 1]."""
    users, items = np.divmod(np.arange((USERS + 1) * (ITEMS + 1), dtype=np.int32), ITEMS + 1)
    starts = range(0, len(users), engine.slice_rows)
    slices = [slice(start, start + engine.slice_rows) for start in starts]
    scores = [engine.score(users[part], items[part]) for part in slices]
    return np.concatenate(scores, axis=-1).reshape(2, USERS + 1, ITEMS + 1)


def test_ratings_and_choices_are_those_of_the_definition(model: FoldedModel, every_pair: Scores) -> None:
    users, items = np.divmod(np.arange((USERS + 1) * (ITEMS + 1), dtype=np.int32), ITEMS + 1)
    expected = expected_scores(model, users, items).reshape(every_pair.shape)
    np.testing.assert_allclose(every_pair, expected, rtol=0, atol=TOLERANCE)
    assert every_pair[0].min() == -1
    assert every_pair[0].max() == 1


def test_the_catalogue_scores_bit_for_bit_as_its_pairs(engine: Engine, every_pair: Scores) -> None:
    for user in range(USERS + 1):
        slices = [(0, 2_048), (2_048, ITEMS)]
        scores = np.concatenate([engine.score_catalog(user, *part) for part in slices], axis=-1)
        np.testing.assert_array_equal(scores, every_pair[:, user, 1:])


@settings(max_examples=100, deadline=None)
@given(bucket=st.sampled_from(BUCKETS), seed=st.integers(0, 2**32 - 1))
def test_scores_do_not_depend_on_their_batch(engine: Engine, every_pair: Scores, bucket: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    count = int(random.integers(bucket // 2 + 1, bucket + 1))
    users, items = random.integers(0, USERS + 1, count), random.integers(0, ITEMS + 1, count)
    scores = engine.score(users.astype(np.int32), items.astype(np.int32))
    assert scores.dtype == np.float32
    assert scores.shape == (2, count)
    np.testing.assert_array_equal(scores, every_pair[:, users, items])


def test_nothing_compiles_once_it_is_built(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="jax"), jax.log_compiles():
        for count in (*range(1, 34), 500, 1_000, 2_047, engine.slice_rows):
            engine.score(np.ones(count, np.int32), np.ones(count, np.int32))
        engine.score_catalog(3, 2_048, ITEMS)
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


@pytest.mark.usefixtures("few_buckets")
def test_a_plain_model_has_one_score() -> None:
    assert not Engine.has_choice
    assert compile_engine(tower_model(8, 4, 2, items=5)).has_choice
