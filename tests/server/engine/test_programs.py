"""Compiled programs that are kept: the same bits, for the same program only, and of nobody else."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankserve_server.engine.buckets import LARGEST_BUCKET
from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.programs import compiled, content_of, keep_programs_in, loaded
from server.engine.test_towers import tower_model

ROWS = np.arange(8, dtype=np.float32)


@pytest.fixture(autouse=True)
def _nowhere_at_first(programs: Path) -> Iterator[None]:
    keep_programs_in(None)
    yield
    keep_programs_in(programs)


def line(factor: float = 2.0, rows: int = 8, **options: Any) -> Callable[..., Any]:
    return compiled(lambda column: column * factor + 1, jax.ShapeDtypeStruct((rows,), np.float32), **options)


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def test_a_program_is_kept_and_found(tmp_path: Path) -> None:
    store = tmp_path / "a" / "programs"
    keep_programs_in(store)
    first = line()
    (file,) = files(store)
    content = file.read_bytes()
    again = line()
    assert files(store) == [file]
    assert file.read_bytes() == content
    assert np.asarray(again(ROWS)).tobytes() == np.asarray(first(ROWS)).tobytes() == (ROWS * 2 + 1).tobytes()
    assert store.stat().st_mode & 0o777 == 0o700


def test_what_was_found_can_be_handed_over(tmp_path: Path) -> None:
    keep_programs_in(tmp_path / "programs")
    line()
    found = line()
    call = loaded(content_of(found))
    assert np.asarray(call(ROWS)).tolist() == (ROWS * 2 + 1).tolist()


def test_others_are_others(tmp_path: Path) -> None:
    keep_programs_in(tmp_path / "programs")
    for factor, rows in ((2.0, 8), (3.0, 8), (2.0, 4)):
        call = line(factor, rows)
        assert np.asarray(call(ROWS[:rows])).tolist() == (ROWS[:rows] * factor + 1).tolist()
    assert len(files(tmp_path / "programs")) == 3


def test_one_that_is_found_is_not_even_traced(tmp_path: Path) -> None:
    keep_programs_in(tmp_path / "programs")
    traced = []

    def doubling() -> Callable[..., Any]:
        """A new function each time: JAX remembers what it has traced."""

        def double(column: Any) -> Any:
            traced.append(column.shape)
            return column * 2

        return double

    for closed_over, rows in (("a", 8), ("a", 8), ("a", 4), ("b", 8), ("a", 8)):
        call = compiled(doubling(), jax.ShapeDtypeStruct((rows,), np.float32), closed_over=closed_over)
        assert np.asarray(call(ROWS[:rows])).tolist() == (ROWS[:rows] * 2).tolist()
    assert traced == [(8,), (4,), (8,)]


def test_models_that_share_them_score_as_if_they_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each differs from the first in one thing, whose program would give other scores."""
    # One program of each is enough: all are made of the same formula, and found by their size besides.
    monkeypatch.setattr("rankserve_server.engine.compiling.BUCKETS", (LARGEST_BUCKET,))
    monkeypatch.setattr("rankserve_server.engine.compiling._Compiler.catalog_call", lambda *_, **__: None)
    monkeypatch.setattr("rankserve_server.engine.compiling._with_catalog", lambda parts, _: parts)
    first = tower_model(16, 8, 4)
    models = (
        first,
        replace(first, scale=2.0),
        replace(first, offset=0.5),
        replace(first, bounds=(-0.5, 1.0)),
        replace(first, bounds=None),
        replace(first, choice_towers=None),
        replace(first, rating_towers=None),
        tower_model(16, 8, 4, users=200),
        tower_model(16, 4, 8),
    )
    pairs = np.arange(40, dtype=np.int32)

    def scores() -> list[bytes]:
        return [compile_engine(model).score(pairs, pairs[::-1]).tobytes() for model in models]

    expected = scores()
    assert len(set(expected)) == len(models)
    keep_programs_in(tmp_path / "programs")
    assert scores() == expected
    kept = files(tmp_path / "programs")
    assert scores() == expected
    assert files(tmp_path / "programs") == kept


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04N."])
def test_one_that_is_damaged_is_compiled_anew(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    keep_programs_in(tmp_path / "programs")
    line()
    (file,) = files(tmp_path / "programs")
    whole = file.read_bytes()
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        call = line()
    assert np.asarray(call(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert "could not be used" in caplog.text
    assert len(file.read_bytes()) == len(whole)


def test_a_directory_that_others_could_write_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "programs"
    store.mkdir()
    store.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        keep_programs_in(store)
    assert np.asarray(line()(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert (files(store), "can be written by others" in caplog.text) == ([], True)


def test_a_place_where_nothing_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        keep_programs_in(tmp_path / "file")
    assert np.asarray(line()(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert "is not kept" in caplog.text


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rankserve_server.engine.programs._MOST_KEPT", 4)
    keep_programs_in(tmp_path / "programs")
    for number in range(5):
        line(float(number))
        for place, file in enumerate(sorted(files(tmp_path / "programs"), key=lambda file: file.stat().st_mtime)):
            os.utime(file, (place, place))
        line(0.0)  # used each time, and so not the oldest
    assert len(files(tmp_path / "programs")) == 4
    before = files(tmp_path / "programs")
    line(0.0)
    assert files(tmp_path / "programs") == before
