"""`load` and `load_files`: files put together to a data set."""

from pathlib import Path
from typing import Any

import pytest

from rankserve_training.data import DATASETS, DataError, RatingScale, load, load_files

CSV = "userId,movieId,rating,timestamp\n"


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def ratings(tmp_path: Path) -> Path:
    return write(tmp_path / "ratings.csv", CSV + "5,30,4,11\n2,10,1,12\n")


def test_ratings_alone(ratings: Path) -> None:
    found = load(ratings=ratings)
    assert (found.name, found.source) == ("ratings.csv", "ratings.csv")
    assert found.test_ratings is None
    assert found.users.ids.tolist() == [2, 5]
    assert found.users.features == {}
    assert (found.items.ids.tolist(), found.items.titles, found.items.genres) == ([10, 30], ("", ""), ((), ()))
    assert found.scale == RatingScale(1.0, 4.0)


def test_everything_together(tmp_path: Path, ratings: Path) -> None:
    found = load(
        ratings=ratings,
        test_ratings=write(tmp_path / "u1.test", "7\t10\t5\t13\n5\t40\t3\t14\n"),
        items=write(tmp_path / "movies.csv", "movieId,title,genres\n30,Thirty,Drama\n20,Twenty,Comedy|War\n"),
        users=write(tmp_path / "u.user", "5|24|M|artist|1\n6|30|F|none|2\n"),
    )
    assert found.items.ids.tolist() == [10, 20, 30, 40]
    assert found.items.titles == ("", "Twenty", "Thirty", "")
    assert found.items.genres == ((), ("Comedy", "War"), ("Drama",), ())
    assert found.users.ids.tolist() == [2, 5, 6, 7]
    assert found.users.features["occupation"] == ("", "artist", "none", "")
    assert found.test_ratings is not None
    assert found.test_ratings.values.tolist() == [5, 3]
    assert found.ratings.values.tolist() == [4, 1]
    assert found.scale == RatingScale(1.0, 5.0)
    assert found.source == "ratings.csv and u1.test"


def test_the_fingerprint_does_not_depend_on_order_or_format(tmp_path: Path, ratings: Path) -> None:
    other = write(tmp_path / "u.data", "2\t10\t1\t12\n5\t30\t4\t11\n")
    assert load_files(ratings).ratings.fingerprint() == load_files(other).ratings.fingerprint()
    changed = write(tmp_path / "changed", "2\t10\t1\t12\n5\t30\t4\t10\n")
    assert load_files(ratings).ratings.fingerprint() != load_files(changed).ratings.fingerprint()


def test_a_given_scale(tmp_path: Path, ratings: Path) -> None:
    assert load_files(ratings, scale=RatingScale(0.5, 5)).scale == RatingScale(0.5, 5)
    test = write(tmp_path / "test.csv", CSV + "1,1,5.5,0\n")
    with pytest.raises(DataError, match=r"test\.csv:2: rating 5\.5 is off the scale, 0\.5 to 5$"):
        load_files(ratings, test_ratings=test, scale=RatingScale(0.5, 5))
    for scale in (RatingScale(5, 1), RatingScale(3, 3), RatingScale(0, float("inf")), RatingScale(float("nan"), 1)):
        with pytest.raises(DataError, match="rating scale must rise"):
            load_files(ratings, scale=scale)


def test_a_scale_without_span(tmp_path: Path) -> None:
    path = write(tmp_path / "clicks.csv", CSV + "1,1,1,0\n1,2,1,0\n")
    with pytest.raises(DataError, match=r"clicks\.csv: every rating is 1, so there is no scale .* ratings must differ"):
        load_files(path)


def test_a_rating_in_both_files(tmp_path: Path, ratings: Path) -> None:
    test = write(tmp_path / "test.csv", CSV + "9,9,2,0\n\n2,10,3,0\n")
    with pytest.raises(DataError) as caught:
        load_files(ratings, test_ratings=test)
    assert str(caught.value).startswith(
        f"{test}:4: user 2's rating of item 10 is also in the ratings to train on, at {ratings}:3; "
    )


def test_an_unknown_name() -> None:
    with pytest.raises(
        DataError, match=r"there is no data set 'netflix'; known: movielens/100k, movielens/1m, .*$"
    ) as caught:
        load("netflix")
    assert str(caught.value).endswith(", ".join(DATASETS))
    assert DATASETS == (
        "movielens/100k",
        "movielens/1m",
        "movielens/20m",
        "movielens/25m",
        "movielens/latest-small",
        "synthetic/1m",
        "synthetic/10m",
    )


@pytest.mark.parametrize("option", ["test_ratings", "items", "users"])
def test_files_without_ratings(ratings: Path, option: str) -> None:
    options: dict[str, Any] = {option: ratings}
    with pytest.raises(DataError, match="only be given together with a file of ratings"):
        load(**options)
