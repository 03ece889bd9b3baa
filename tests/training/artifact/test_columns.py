"""Columns in an `.npz` file: what is written is read, and what is broken is refused."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.artifact import ArtifactError
from rankserve_training.artifact.columns import check_offsets, pack_strings, read_columns, unpack_strings, write_columns


@given(strings=st.lists(st.text(max_size=30), max_size=30))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, strings: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "columns.npz"
    write_columns(path, pack_strings("titles", strings))
    columns = read_columns(path, ["titles.utf8", "titles.offsets"])
    assert unpack_strings("titles", columns) == strings
    total = sum(len(string.encode()) for string in strings)
    check_offsets("titles.offsets", columns["titles.offsets"], len(strings), total)


def test_numpy_reads_it_and_equal_columns_are_equal_bytes(tmp_path: Path) -> None:
    columns = {"ids": np.array([1, 2**63 - 1]), "rows": np.array([[1, 2]], np.int32)[:, ::-1]}
    for name in ("one.npz", "two.npz"):
        write_columns(tmp_path / name, columns)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as archive:
        assert {name: archive[name].tolist() for name in archive.files} == {"ids": [1, 2**63 - 1], "rows": [[2, 1]]}


@pytest.mark.parametrize(
    "offsets",
    [
        np.array([0, 2]),
        np.array([0, 1, 2, 3]),
        np.array([1, 2, 3]),
        np.array([0, 2, 2]),
        np.array([0, 4, 3]),
        np.array([0, -1, 3]),
        np.array([0, 1, 3], np.int32),
        np.array([0.0, 1.0, 3.0]),
        np.array([[0, 1, 3]]),
        np.array(3),
    ],
)
def test_offsets_that_are_refused(offsets: np.ndarray) -> None:
    check_offsets("runs", np.array([0, 1, 3]), count=2, total=3)
    with pytest.raises(ArtifactError, match="column 'runs' should be 3 ascending offsets from 0 to 3"):
        check_offsets("runs", offsets, count=2, total=3)


def npy(column: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, column)
    return buffer.getvalue()


def archive_of(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def damaged_in_the_middle(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[: middle - 20] + b"x" * 40 + content[middle + 20 :]


IDS = npy(np.arange(1, 1_000))


def header_of(count: int) -> bytes:
    """The beginning of a column that promises so many ids."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<i8", "fortran_order": False, "shape": (count,)})
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no archive at all", id="text"),
        pytest.param(IDS, id="one column without an archive"),
        pytest.param(archive_of({"ids.npy": IDS})[:3_000], id="cut short"),
        pytest.param(damaged_in_the_middle(archive_of({"ids.npy": IDS})), id="damaged"),
        pytest.param(damaged_in_the_middle(archive_of({"ids.npy": IDS}, zipfile.ZIP_DEFLATED)), id="damaged, deflated"),
        pytest.param(archive_of({"ids.npy": b"no column"}), id="text in an archive"),
        pytest.param(archive_of({"ids.npy": b""}), id="an empty column file"),
        pytest.param(archive_of({"ids.npy": IDS[:500]}), id="a column cut short"),
        pytest.param(archive_of({"ids.npy": header_of(10**16)}), id="a column of petabytes"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "users.npz"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"users\.npz is not a readable \.npz file: "):
        read_columns(path, ["ids"])


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "users.npz"
    np.savez(path, ids=np.array([Trap()], object))
    with pytest.raises(ArtifactError, match=r"ids\.npy holds pickled objects, which could run code"):
        read_columns(path, ["ids"])
    assert not (tmp_path / "sprung").exists()


def test_a_missing_column_and_a_missing_file(tmp_path: Path) -> None:
    write_columns(tmp_path / "users.npz", {"ids": np.array([1])})
    with pytest.raises(ArtifactError, match=r"a column is missing: .*'seen\.rows\.npy'"):
        read_columns(tmp_path / "users.npz", ["ids", "seen.rows"])
    with pytest.raises(ArtifactError, match="No such file"):
        read_columns(tmp_path / "none.npz", ["ids"])
