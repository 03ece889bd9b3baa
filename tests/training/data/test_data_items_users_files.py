"""Files that describe items and users."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rankserve_training.data import DataError, Items, Users
from rankserve_training.data.items_file import read_items
from rankserve_training.data.users_file import read_users

FLAGS = "|".join("0" * 19)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def items(tmp_path: Path, content: str | bytes) -> Items:
    return read_items(write(tmp_path / "items", content))


def users(tmp_path: Path, content: str | bytes) -> Users:
    return read_users(write(tmp_path / "users", content))


def test_u_item(tmp_path: Path) -> None:
    comedy_war = "|".join("1" if flag in (5, 17) else "0" for flag in range(19))
    lines = [
        f"543|Misérables, Les (1995)|01-Jan-1995|||{comedy_war}",
        f"2|Two Friends (1986) |26-Apr-1986|||{FLAGS}",
        f"267|unknown||||1{FLAGS[1:]}",
    ]
    for encoding in ("latin-1", "utf-8", "utf-8-sig"):
        found = items(tmp_path, "\r\n".join(lines).encode(encoding))
        assert found.ids.tolist() == [2, 267, 543]
        assert found.titles == ("Two Friends (1986)", "unknown", "Misérables, Les (1995)")
        assert found.genres == ((), ("Unknown",), ("Comedy", "War"))


def test_movies_csv(tmp_path: Path) -> None:
    found = items(
        tmp_path,
        'movieId,title,genres\n11,"American President, The (1995)",Comedy|Drama\n'
        '3,"""Great Performances"" Cats (1998)",Musical\n5,Plain,(no genres listed)\n7,7,\n',
    )
    assert found.ids.tolist() == [3, 5, 7, 11]
    assert found.titles == ('"Great Performances" Cats (1998)', "Plain", "7", "American President, The (1995)")
    assert found.genres == (("Musical",), (), (), ("Comedy", "Drama"))
    assert items(tmp_path, "movieId,title\n1,One\n").genres == ((),)


def test_recbole_item(tmp_path: Path) -> None:
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    found = items(
        tmp_path,
        header + "1\tToy Story\t1995\tAnimation Children's Comedy\n2\tunkonwn\tunkonwn\tunknown\n"
        "3\tLand (1995)\tV\t\n4\tNo year\t\tDrama\n",
    )
    assert found.titles == ("Toy Story (1995)", "unkonwn", "Land (1995) (V)", "No year")
    assert found.genres == (("Animation", "Children's", "Comedy"), ("unknown",), (), ("Drama",))
    ids_only = items(tmp_path, "item_id:token\n8\n")
    assert (ids_only.ids.tolist(), ids_only.titles, ids_only.genres) == ([8], ("",), ((),))


def test_users(tmp_path: Path) -> None:
    expected = {"age": ("53", "24"), "gender": ("F", "M"), "occupation": ("other", "none"), "zip_code": ("94043", "")}
    for content in (
        "9|24|M|none|\n2|53|F|other|94043\n",
        "userId,age,gender,occupation,zip_code\n9,24,M,none,\n2,53,F,other,94043\n",
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n9\t24\tM\tnone\t\n2\t53\tF\tother\t94043\n",
    ):
        found = users(tmp_path, content)
        assert found.ids.tolist() == [2, 9]
        assert found.features == expected
    assert users(tmp_path, "userId\n5\n").features == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "items: is empty"),
        ("movieId,title,genres\n", "items: has a header but no items"),
        ("movieId,titel\n1,a\n", "items:1: the header has an unknown column 'titel'; known are movieId, title, genres"),
        ("title,genres\na,b\n", "items:1: the header has no column 'movieId'"),
        ("movieId,title,title\n", "items:1: the header has the column 'title' twice"),
        ("item_id:token\tprice:float\n", "items:1: the header has an unknown column 'price'"),
        ("movie_title:token_seq\trelease_year:token\n", "items:1: the header has no column 'item_id'"),
        ("1::Toy Story::Comedy\n", "items:1: is in none of the known formats"),
        ("movieId,title\n1,a\n\nx,b\n", "items:4: item id 'x' is not an integer"),
        ("movieId,title\n1,a\n0,b\n", "items:3: item id 0 is not positive"),
        ("movieId,title\n5,a\n6,b\n5,c\n", "items:4: item 5 is described before, in line 2"),
        ("movieId,title\n5,a,b\n", "items:2: has 3 fields separated by commas where 2 are expected (movieId, title)"),
        ('movieId,title\n5,"a\n', "items:2: is not a line of a CSV file"),
        (
            f"1|a||||{FLAGS}\n2|b|||{FLAGS}\n",
            "items:2: has 23 fields separated by '|' where 24 are expected (item id, ",
        ),
        (f"1|a||||{FLAGS[:-1]}2\n", "items:1: the flag for genre Western is '2'; 0 or 1 is expected"),
        (b"\x89PNG\0\n", "items: is not a text file"),
    ],
)
def test_a_broken_items_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        items(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("userId,age\n", "users: has a header but no users"),
        ("user,age\n1,2\n", "users:1: the header has no column 'userId'"),
        ("userId,\n1,2\n", "users:1: the header has a column without a name"),
        ("userId,age,age\n1,2,3\n", "users:1: the header has the column 'age' twice"),
        ("1 2 3\n", "users:1: is in none of the known formats"),
        ("1|24|M|technician\n", "users:1: has 4 fields separated by '|' where 5 are expected"),
        ("1|24|M|technician|1\n1|24|M|technician|1\n", "users:2: user 1 is described before, in line 1"),
        ("9223372036854775808|24|M|technician|1\n", "users:1: user id 9223372036854775808 is over"),
    ],
)
def test_a_broken_users_file(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        users(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='|"'), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(
    st.dictionaries(st.integers(1, 2**63 - 1), st.tuples(names, st.lists(names, max_size=3)), min_size=1, max_size=9)
)
def test_what_is_written_is_read(tmp_path: Path, written: dict[int, tuple[str, list[str]]]) -> None:
    csv = [
        "movieId,title,genres",
        *(f'{item},"{title}","{"|".join(genres)}"' for item, (title, genres) in written.items()),
    ]
    found = items(tmp_path, "\n".join(csv))
    assert found.ids.tolist() == sorted(written)
    assert found.titles == tuple(written[item][0] for item in sorted(written))
    assert found.genres == tuple(tuple(written[item][1]) for item in sorted(written))
