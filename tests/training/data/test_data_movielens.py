"""MovieLens 100K as it is prepared on this machine (`python -m rankserve_training.data`)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rankserve_training.data import Dataset, RatingScale, load, load_files, load_movielens
from rankserve_training.data.tfds_quiet import quiet_tfds

FINGERPRINT = "f40682aea0f24b5272be03bf6bdbb5a6da15426b978577d0a5b71cb38f8aaeb8"


def not_prepared(line: str) -> None:
    pytest.fail(f"prepare the data first, with `python -m rankserve_training.data` ({line})")


@pytest.fixture(scope="module")
def movielens() -> Dataset:
    return load_movielens(announce=not_prepared)


def test_the_facts(movielens: Dataset) -> None:
    assert movielens.name == "movielens/100k"
    assert len(movielens.ratings) == 100_000
    assert movielens.users.ids.tolist() == list(range(1, 944))
    assert movielens.items.ids.tolist() == list(range(1, 1683))
    assert movielens.ratings.values.mean(dtype=np.float64) == pytest.approx(3.52986)
    assert np.bincount(movielens.ratings.values.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert movielens.scale == RatingScale(1, 5)
    assert movielens.test_ratings is None
    assert movielens.ratings.fingerprint() == FINGERPRINT


def test_titles_and_genres(movielens: Dataset) -> None:
    titles = dict(zip(movielens.items.ids.tolist(), movielens.items.titles, strict=True))
    assert titles[204] == "Back to the Future (1985)"
    assert titles[11] == "Seven (Se7en) (1995)"
    assert titles[267] == "unknown"
    assert titles[543] == "Misérables, Les (1995)"
    assert titles[1201] == "Marlene Dietrich: Shadow and Light (1996)"
    assert titles[1412] == "Land Before Time III: The Time of the Great Giving (1995) (V)"
    assert titles[1633] == "Á köldum klaka (Cold Fever) (1994)"
    assert movielens.items.genres[0] == ("Animation", "Children", "Comedy")
    assert movielens.items.genres[266] == ("Unknown",)
    assert sum(map(len, movielens.items.genres)) == 2893


def test_users(movielens: Dataset) -> None:
    assert {name: values[0] for name, values in movielens.users.features.items()} == {
        "age": "24",
        "gender": "M",
        "occupation": "technician",
        "zip_code": "85711",
    }
    assert movielens.users.features["zip_code"][73] == "T8H1N"
    assert movielens.users.features["gender"].count("F") == 273


def test_it_is_what_tfds_loads_in_its_order(movielens: Dataset) -> None:
    with quiet_tfds() as tfds:
        ratings = tfds.load("movielens/100k-ratings", split="train[:200]")
        examples = list(tfds.as_numpy(ratings))
        movies = list(tfds.as_numpy(tfds.load("movielens/100k-movies", split="train")))
    assert [int(example["user_id"]) for example in examples] == movielens.ratings.user_ids[:200].tolist()
    assert [int(example["movie_id"]) for example in examples] == movielens.ratings.item_ids[:200].tolist()
    assert [example["user_rating"] for example in examples] == movielens.ratings.values[:200].tolist()
    assert [example["timestamp"] for example in examples] == movielens.ratings.timestamps[:200].tolist()
    # The first examples that TFDS' own pages and tutorials show.
    first = examples[0]
    assert (first["user_id"], first["movie_id"], first["user_rating"]) == (b"138", b"357", 4.0)
    assert (first["timestamp"], first["bucketized_user_age"], first["raw_user_age"]) == (879024327, 45.0, 46.0)
    assert (first["user_occupation_text"], first["user_zip_code"], first["user_gender"]) == (b"doctor", b"53211", True)
    assert first["movie_title"] == b"One Flew Over the Cuckoo's Nest (1975)"
    assert (movies[0]["movie_id"], movies[0]["movie_title"]) == (b"1681", b"You So Crazy (1994)")


def test_the_same_ratings_as_a_file(movielens: Dataset, tmp_path: Path) -> None:
    """In another order, as in u.data, they are the same data set."""
    ratings = movielens.ratings.take(np.lexsort((movielens.ratings.timestamps,)))
    columns = (ratings.user_ids, ratings.item_ids, ratings.values.astype(int), ratings.timestamps)
    path = tmp_path / "u.data"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)))
    found = load(ratings=path)
    assert found.ratings.fingerprint() == FINGERPRINT
    assert found.scale == RatingScale(1, 5)
    assert load_files(path).items.ids.tolist() == movielens.items.ids.tolist()


def test_preparing_what_is_prepared_is_quiet_and_needs_no_network(movielens: Dataset) -> None:
    code = """if True:
        import sys, runpy
        def refuse(event, arguments):
            runs_pip = event == "subprocess.Popen" and "pip" in arguments[1]
            if runs_pip or event in ("socket.connect", "socket.getaddrinfo"):
                raise SystemExit(f"{event} {arguments}")
        sys.addaudithook(refuse)
        runpy.run_module("rankserve_training.data", run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"MovieLens 100K: 100,000 ratings, 943 users, 1,682 movies, from {movielens.source}\n"
