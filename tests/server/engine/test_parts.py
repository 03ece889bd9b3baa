"""An engine that has travelled scores as the one that was compiled, bit for bit."""

import io
from typing import Any

import numpy as np
import pytest

from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.newcomers import NO_ENTRIES, NewUser
from rankserve_server.engine.parts import pack, unpack
from rankserve_server.engine.program_pool import ProgramPool
from server.engine.test_newcomers import BAGS, MODEL


@pytest.fixture(scope="module")
def compiled() -> Engine:
    return compile_engine(MODEL, newcomers=BAGS)


def travelled(engine: Engine) -> Engine:
    stream = io.BytesIO()
    pack(engine.parts, stream)
    stream.seek(0)
    return Engine(unpack(stream, ProgramPool()))


def test_every_bucket_scores_pairs_as_before(compiled: Engine) -> None:
    engine = travelled(compiled)
    random = np.random.default_rng(1)
    assert engine.buckets == compiled.buckets
    for bucket in engine.buckets:
        users = random.integers(0, 50, bucket, dtype=np.int32)
        items = random.integers(0, 3_001, bucket, dtype=np.int32)
        np.testing.assert_array_equal(engine.score(users, items), compiled.score(users, items))


def test_the_catalogue_and_newcomers_are_scored_as_before(compiled: Engine) -> None:
    engine = travelled(compiled)
    items = np.arange(300, dtype=np.int32)
    np.testing.assert_array_equal(engine.score_catalog(7, 0, 2_048), compiled.score_catalog(7, 0, 2_048))
    np.testing.assert_array_equal(_of_newcomer(engine, items), _of_newcomer(compiled, items))


def test_a_model_of_ids_alone_travels_without_newcomers() -> None:
    engine = travelled(compile_engine(MODEL))
    with pytest.raises(ValueError, match="knows nothing of newcomers"):
        _of_newcomer(engine, np.arange(8, dtype=np.int32))


def test_what_a_checkpoint_raises_ends_it(compiled: Engine) -> None:
    stream = io.BytesIO()
    pack(compiled.parts, stream)
    stream.seek(0)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        unpack(stream, ProgramPool(), stop)


def _of_newcomer(engine: Engine, items: Any) -> Any:
    return engine.start_newcomers([NewUser(3, NO_ENTRIES)], [], np.zeros(len(items), np.int32), items).result()
