"""The larger MovieLens data sets, out of small archives in their layouts: prepared by TFDS' own builders, read in bulk,
and compared with what `tfds.load` gives."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peak_memory import TESTS
from rankserve_training.data import DataError, Dataset, RatingScale, load_movielens
from rankserve_training.data.movielens_builder import MovielensBuilders
from rankserve_training.data.movielens_sets import SETS
from rankserve_training.data.tfds_quiet import quiet_tfds
from training.data.movielens_archives import RATINGS, USERS, repeat_records, reshard, unpacked_1m, unpacked_current

NAMES = ["movielens/1m", "movielens/20m", "movielens/25m", "movielens/latest-small"]
BYTES_A_RATING = 8 + 8 + 4 + 8

Prepare = Callable[[str], Path]


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> Prepare:
    """The data directory in which the data set of a name is prepared."""
    directories: dict[str, Path] = {}

    def prepared(name: str) -> Path:
        if name not in directories:
            directory = tmp_path_factory.mktemp("movielens")
            size = SETS[name].size
            files = unpacked_1m(directory) if size == "1m" else unpacked_current(directory, size)
            with quiet_tfds() as tfds:
                MovielensBuilders(tfds, SETS[name], directory).prepare_from_files(files)
            directories[name] = directory
        return directories[name]

    return prepared


def tfds_examples(config: str, data_dir: Path) -> list[dict[str, Any]]:
    with quiet_tfds() as tfds:
        return list(tfds.as_numpy(tfds.load(config, split="train", data_dir=str(data_dir))))


def check_ratings(found: Dataset, examples: list[dict[str, Any]]) -> None:
    assert found.ratings.user_ids.tolist() == [int(example["user_id"]) for example in examples]
    assert found.ratings.item_ids.tolist() == [int(example["movie_id"]) for example in examples]
    assert found.ratings.values.tolist() == [example["user_rating"] for example in examples]
    assert found.ratings.timestamps.tolist() == [example["timestamp"] for example in examples]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_tfds_loads_in_its_order(prepare: Prepare, name: str) -> None:
    found = load_movielens(name, data_dir=prepare(name))
    examples = tfds_examples(f"{name}-ratings", prepare(name))
    movies = tfds_examples(f"{name}-movies", prepare(name))
    assert (found.name, found.source) == (name, "TFDS, downloaded from GroupLens")
    assert len(found.ratings) == len(examples) == RATINGS
    check_ratings(found, examples)
    columns = (found.ratings.user_ids, found.ratings.item_ids, found.ratings.values, found.ratings.timestamps)
    assert [column.dtype for column in columns] == [np.int64, np.int64, np.float32, np.int64]
    titles = {int(movie["movie_id"]): movie["movie_title"].decode().strip() for movie in movies}
    assert list(zip(found.items.ids.tolist(), found.items.titles, strict=True)) == sorted(titles.items())
    assert found.users.ids.tolist() == list(USERS)


def test_movielens_1m_has_people(prepare: Prepare) -> None:
    found = load_movielens("movielens/1m", data_dir=prepare("movielens/1m"))
    assert found.scale == RatingScale(1, 5)
    assert found.users.features == {
        "age_bucket": ("under 18", "56+", "50-55", "25-34"),
        "gender": ("F", "M", "M", "F"),
        "occupation": ("K-12 student", "self-employed", "academic/educator", "programmer"),
        "zip_code": ("48067", "70072", "95350-1234", "00000"),
    }
    assert found.items.titles[:2] == ("Toy Story (1995)", "Misérables, Les (1995)")
    assert found.items.genres[:2] == (("Animation", "Children", "Comedy"), ("Drama", "Musical"))


def test_the_others_have_half_stars_and_no_people(prepare: Prepare) -> None:
    found = load_movielens("movielens/25m", data_dir=prepare("movielens/25m"))
    assert found.scale == RatingScale(0.5, 5)
    assert np.unique(found.ratings.values).tolist() == [half / 2 for half in range(1, 11)]
    assert found.users.features == {}
    assert found.items.titles[1] == "Misérables, Les (1995)"
    assert found.items.genres[0] == ("Adventure", "Animation", "IMAX")
    assert (found.items.ids[-1], found.items.titles[-1], found.items.genres[-1]) == (209171, "Nameless", ())


def test_the_order_of_several_files(prepare: Prepare, tmp_path: Path) -> None:
    """TFDS takes turns between files, so theirs is not the order of the files."""
    shutil.copytree(prepare("movielens/25m") / "movielens", tmp_path / "movielens")
    lengths = [20, *[34] * 17, 2]
    assert sum(lengths) == RATINGS
    reshard(tmp_path / "movielens" / "25m-ratings", lengths)
    found = load_movielens("movielens/25m", data_dir=tmp_path)
    check_ratings(found, tfds_examples("movielens/25m-ratings", tmp_path))


@pytest.mark.parametrize(("times", "reason"), [(0, "has 0 examples, not 600"), (2, "has more examples, not 600")])
def test_a_wrong_count_is_noticed(prepare: Prepare, tmp_path: Path, times: int, reason: str) -> None:
    shutil.copytree(prepare("movielens/1m") / "movielens", tmp_path / "movielens")
    (records,) = (tmp_path / "movielens" / "1m-ratings").glob("*/*tfrecord*")
    records.write_bytes(records.read_bytes() * times)
    with pytest.raises(DataError, match=rf"1m-ratings/.*: the prepared data set is damaged \(it {reason}\); delete"):
        load_movielens("movielens/1m", data_dir=tmp_path)


def test_the_memory_that_loading_takes(prepare: Prepare, tmp_path: Path) -> None:
    """At most four times the columns: measured on a million ratings, after the libraries have loaded a few."""
    small, count = prepare("movielens/1m"), 1_020_000
    prepared = tmp_path / "movielens"
    repeat_records(small / "movielens" / "1m-ratings", prepared / "1m-ratings", count // RATINGS)
    shutil.copytree(small / "movielens" / "1m-movies", prepared / "1m-movies")
    code = f"""if True:
        from pathlib import Path
        from peak_memory import peak_bytes
        from rankserve_training.data import load_movielens
        load_movielens("movielens/1m", data_dir=Path({str(small)!r}))
        before = peak_bytes()
        data = load_movielens("movielens/1m", data_dir=Path({str(tmp_path)!r}))
        print(len(data.ratings), peak_bytes() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, cwd=TESTS
    )
    found, taken = map(int, done.stdout.split())
    assert found == count
    assert taken < 4 * count * BYTES_A_RATING, f"{taken / count:.0f} bytes a rating"
