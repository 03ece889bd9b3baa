"""Items and users as an artifact keeps them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.artifact import ArtifactError, Catalog, UserTable
from rankserve_training.artifact.columns import write_columns

IDS = st.integers(1, 2**63 - 1)
GENRE = st.text(min_size=1, max_size=8).filter(lambda name: "|" not in name)
ITEM = st.tuples(st.text(max_size=20), st.lists(GENRE, max_size=3).map(tuple))


@given(items=st.dictionaries(IDS, ITEM, max_size=20))
def test_a_catalogue_comes_back(
    tmp_path_factory: pytest.TempPathFactory, items: dict[int, tuple[str, tuple[str, ...]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "catalog.npz"
    ids = sorted(items)
    Catalog(np.array(ids, np.int64), [items[id_][0] for id_ in ids], [items[id_][1] for id_ in ids]).write(path)
    found = Catalog.read(path)
    assert found.ids.tolist() == ids
    assert len(found) == len(ids)
    assert {id_: (found.title(id_), found.genres[found.index.row(id_) - 1]) for id_ in ids} == items
    assert found.title(0) == found.title(-1) == ""


def test_columns_of_other_lengths() -> None:
    with pytest.raises(ValueError, match="same length"):
        Catalog(np.array([1, 2]), ["One"], [(), ()])


@given(data=st.data())
def test_seen_items_against_a_dict(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "users.npz"
    ids = sorted(data.draw(st.sets(IDS, min_size=1, max_size=8)))
    pairs = data.draw(st.sets(st.tuples(st.integers(1, len(ids)), st.integers(1, 9)), min_size=1).map(list))
    users, items = (np.array(column, np.int32) for column in zip(*pairs, strict=True))
    UserTable.from_ratings(np.array(ids), users, items).write(path)
    found = UserTable.read(path, item_count=9)
    assert len(found) == len(ids)
    assert found.index.ids.tolist() == ids
    for row in range(1, len(ids) + 1):
        assert found.seen(row).tolist() == sorted(item for user, item in pairs if user == row)
        assert found.seen(row).dtype == np.int32
    assert found.seen(0).tolist() == []


CATALOG = {
    "ids": np.array([4, 6]),
    "titles.utf8": np.frombuffer(b"FourSix", np.uint8),
    "titles.offsets": np.array([0, 4, 7]),
    "genres.utf8": np.array([], np.uint8),
    "genres.offsets": np.array([0, 0, 0]),
}
USERS = {"ids": np.array([9, 11]), "seen.offsets": np.array([0, 2, 3]), "seen.rows": np.array([1, 2, 1], np.int32)}


def test_the_whole_files(tmp_path: Path) -> None:
    write_columns(tmp_path / "catalog.npz", CATALOG)
    write_columns(tmp_path / "users.npz", USERS)
    assert Catalog.read(tmp_path / "catalog.npz").titles == ["Four", "Six"]
    assert UserTable.read(tmp_path / "users.npz", 2).seen(1).tolist() == [1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.array([6, 4])},
        {"ids": np.array([0, 4])},
        {"ids": np.array([4, 6, 8])},
        {"ids": np.array([4, 6], np.int32)},
        {"ids": np.array([4.0, 6.0])},
        {"ids": np.array(["4", "6"])},
        {"ids": np.array([[4], [6]])},
        {"ids": np.array(4)},
        {"titles.utf8": np.frombuffer(b"FourSi\xc3", np.uint8)},
        {"titles.utf8": np.frombuffer(b"FourSi", np.uint8)},
        {"titles.utf8": np.arange(7)},
        {"titles.utf8": np.uint8(1)},
        {"titles.offsets": np.array([0, 7])},
        {"genres.offsets": np.array([0, 1, 0])},
    ],
)
def test_catalogues_that_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "catalog.npz"
    write_columns(path, CATALOG | change)
    with pytest.raises(ArtifactError, match=r"^\S*catalog\.npz: "):
        Catalog.read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.array([9, 9])},
        {"ids": np.array([9])},
        {"ids": np.array(9)},
        {"seen.offsets": np.array([0, 3, 2])},
        {"seen.offsets": np.array([0, 2, 4])},
        {"seen.rows": np.array([1, 2, 3], np.int32)},
        {"seen.rows": np.array([0, 2, 1], np.int32)},
        {"seen.rows": np.array([-1, 2, 1], np.int32)},
        {"seen.rows": np.array([1, 2, 1])},
        {"seen.rows": np.array([[1, 2, 1]], np.int32)},
        {"seen.rows": np.int32(1)},
    ],
)
def test_users_that_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "users.npz"
    write_columns(path, USERS | change)
    with pytest.raises(ArtifactError, match=r"^\S*users\.npz: "):
        UserTable.read(path, item_count=2)
