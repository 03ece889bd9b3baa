"""Compiled programs that are kept: the same bits, for the same program only, and of nobody else."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.programs import compiled, content_of, keep_programs_in, loaded

ROWS = np.arange(8, dtype=np.float32)


@pytest.fixture(autouse=True)
def _nowhere_afterwards() -> Iterator[None]:
    yield
    keep_programs_in(None)
    jax.config.update("jax_enable_compilation_cache", True)


def lowered(factor: float = 2.0, rows: int = 8) -> Any:
    return jax.jit(lambda column: column * factor + 1).lower(jax.ShapeDtypeStruct((rows,), np.float32))


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


def test_a_program_is_kept_and_found(tmp_path: Path) -> None:
    store = tmp_path / "a" / "programs"
    keep_programs_in(store)
    first = compiled(lowered())
    (file,) = files(store)
    content = file.read_bytes()
    again = compiled(lowered())
    assert files(store) == [file]
    assert file.read_bytes() == content
    assert np.asarray(again(ROWS)).tobytes() == np.asarray(first(ROWS)).tobytes() == (ROWS * 2 + 1).tobytes()
    assert store.stat().st_mode & 0o777 == 0o700


def test_what_was_found_can_be_handed_over(tmp_path: Path) -> None:
    keep_programs_in(tmp_path / "programs")
    compiled(lowered())
    found = compiled(lowered())
    call = loaded(content_of(found))
    assert np.asarray(call(ROWS)).tolist() == (ROWS * 2 + 1).tolist()


def test_others_are_others(tmp_path: Path) -> None:
    keep_programs_in(tmp_path / "programs")
    for factor, rows in ((2.0, 8), (3.0, 8), (2.0, 4)):
        call = compiled(lowered(factor, rows))
        assert np.asarray(call(ROWS[:rows])).tolist() == (ROWS[:rows] * factor + 1).tolist()
    assert len(files(tmp_path / "programs")) == 3


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04N."])
def test_one_that_is_damaged_is_compiled_anew(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    keep_programs_in(tmp_path / "programs")
    compiled(lowered())
    (file,) = files(tmp_path / "programs")
    whole = file.read_bytes()
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        call = compiled(lowered())
    assert np.asarray(call(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert "could not be used" in caplog.text
    assert len(file.read_bytes()) == len(whole)


def test_a_directory_that_others_could_write_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = tmp_path / "programs"
    store.mkdir()
    store.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        keep_programs_in(store)
    assert np.asarray(compiled(lowered())(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert (files(store), "can be written by others" in caplog.text) == ([], True)


def test_a_place_where_nothing_can_be_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        keep_programs_in(tmp_path / "file")
    assert np.asarray(compiled(lowered())(ROWS)).tolist() == (ROWS * 2 + 1).tolist()
    assert "is not kept" in caplog.text


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rankserve_server.engine.programs._MOST_KEPT", 4)
    keep_programs_in(tmp_path / "programs")
    for number in range(5):
        compiled(lowered(float(number)))
        for place, file in enumerate(sorted(files(tmp_path / "programs"), key=lambda file: file.stat().st_mtime)):
            os.utime(file, (place, place))
        compiled(lowered(0.0))  # used each time, and so not the oldest
    assert len(files(tmp_path / "programs")) == 4
    before = files(tmp_path / "programs")
    compiled(lowered(0.0))
    assert files(tmp_path / "programs") == before
