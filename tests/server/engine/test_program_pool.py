"""Programs are taken over from version to version, and freed once no version has them."""

import io
from typing import Any

import numpy as np
import pytest

from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.parts import pack, unpack
from rankserve_server.engine.program_pool import ProgramPool
from rankserve_server.engine.programs import loaded
from rankserve_server.engine.tables import rows_with_room
from server.engine.test_newcomers import BAGS, ITEMS, MODEL, USERS
from server.engine.test_towers import tower_model


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was loaded, in turn."""
    found: list[bytes] = []

    def note(content: bytes) -> Any:
        found.append(content)
        return loaded(content)

    monkeypatch.setattr("rankserve_server.engine.program_pool.loaded", note)
    return found


def handed_over(engine: Engine, pool: ProgramPool) -> Engine:
    stream = io.BytesIO()
    pack(engine.parts, stream)
    stream.seek(0)
    return Engine(unpack(stream, pool))


def grown(users: int, items: int) -> Engine:
    """A version with so many more users and items than MODEL."""
    return compile_engine(tower_model(48, 20, 11, users=USERS + users, items=ITEMS + items), newcomers=BAGS)


def test_a_version_of_some_more_users_and_items_takes_programs_over(loads: list[bytes]) -> None:
    pool = ProgramPool()
    first = handed_over(compile_engine(MODEL, newcomers=BAGS), pool)
    count = len(loads)
    assert count == len(pool) > 20
    larger = grown(users=1, items=40)
    second = handed_over(larger, pool)
    assert len(loads) == len(pool) == count
    rows = np.arange(40, dtype=np.int32)
    items = ITEMS + 1 + rows  # the ones that are new
    assert second.score(rows, items).tobytes() == larger.score(rows, items).tobytes()
    assert first.item_count + 40 == second.item_count


@pytest.mark.usefixtures("few_buckets")
def test_what_nobody_uses_any_more_is_freed() -> None:
    pool = ProgramPool()
    first = handed_over(compile_engine(MODEL, newcomers=BAGS), pool)
    kept = len(pool)
    second = handed_over(grown(users=0, items=5_000), pool)
    both = len(pool)
    assert both > kept
    steps: list[int] = []
    pool.let_go(lambda: steps.append(len(pool)))
    assert (len(pool), steps) == (both, [])
    del first
    pool.let_go(lambda: steps.append(len(pool)))
    assert steps == list(range(both, len(pool), -1))
    second.score(np.zeros(8, np.int32), np.zeros(8, np.int32))
    del second
    pool.let_go()
    assert not len(pool)


@pytest.mark.parametrize("rows", [*range(1, 70), 944, 1_683, 10**6 + 1])
def test_the_room_for_more_is_an_eighth_at_most(rows: int) -> None:
    found = rows_with_room(rows)
    assert rows <= found <= max(rows, rows * 1.125)
    assert rows_with_room(found) == found
