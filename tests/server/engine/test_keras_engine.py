"""The engine of a Keras model that is not folded keeps what the other engines promise."""

import io
from pathlib import Path

import numpy as np
import pytest

from rankserve_server.engine.engine import Engine
from rankserve_server.engine.parts import pack, unpack
from rankserve_server.engine.program_pool import ProgramPool
from rankserve_server.loaded_model import Abilities, LoadedModel
from rankserve_server.loading import load_version
from server.own_versions import publish_own
from training.own_models import ITEMS, USERS, keras_scores, trained_mlp

_ROWS = np.indices((USERS + 1, ITEMS + 1), np.int32).reshape(2, -1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedModel, Path]:
    """A loaded model, and the file that it was published from."""
    models_dir = tmp_path_factory.mktemp("own") / "models"
    path = publish_own(models_dir, "own", trained_mlp)
    return load_version(models_dir / "own" / "1", lambda: None), path


@pytest.fixture(scope="module")
def engine(source: tuple[LoadedModel, Path]) -> Engine:
    return source[0].engine


def test_scores_are_those_of_keras(source: tuple[LoadedModel, Path]) -> None:
    expected = keras_scores(source[1], *(rows.tolist() for rows in _ROWS))
    np.testing.assert_allclose(source[0].engine.score(*_ROWS), expected, rtol=1e-5, atol=1e-6)


def test_a_pair_gets_the_same_bits_in_every_batch(engine: Engine) -> None:
    random = np.random.default_rng(0)
    for count in (1, 7, 8, 9, 33, 200, 257, 1_500, Engine.slice_rows):
        places = random.integers(0, _ROWS.shape[1], count)
        np.testing.assert_array_equal(engine.score(*_ROWS[:, places]), engine.score(*_ROWS)[places])


def test_the_catalogue_gets_the_bits_of_its_pairs(engine: Engine) -> None:
    for user in range(USERS + 1):
        whole = engine.score_catalog(user, 0, ITEMS)
        items = np.arange(1, ITEMS + 1, dtype=np.int32)
        np.testing.assert_array_equal(whole, engine.score(np.full(ITEMS, user, np.int32), items))


def test_it_travels(engine: Engine) -> None:
    stream = io.BytesIO()
    pack(engine.parts, stream)
    stream.seek(0)
    travelled = Engine(unpack(stream, ProgramPool()))
    assert travelled.buckets == engine.buckets
    np.testing.assert_array_equal(travelled.score(*_ROWS), engine.score(*_ROWS))
    np.testing.assert_array_equal(travelled.score_catalog(3, 0, ITEMS), engine.score_catalog(3, 0, ITEMS))


def test_it_knows_nothing_but_ids(source: tuple[LoadedModel, Path]) -> None:
    abilities = source[0].abilities
    assert abilities == Abilities(history=False, user_features=(), new_items=False, choice=False)
