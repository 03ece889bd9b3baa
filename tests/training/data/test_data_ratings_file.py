"""Rating files: every format, every way in which a line can be broken, and random files of both kinds."""

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peak_memory import TESTS
from rankserve_training.data import DataError, RatingScale
from rankserve_training.data.ratings_file import first_repeat, read_ratings

CSV = "userId,movieId,rating,timestamp\n"
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
LARGEST = 2**63 - 1

Row = tuple[int, int, float, int]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, scale: RatingScale | None = None) -> str:
    """The error's message from the file's name on."""
    with pytest.raises(DataError) as caught:
        read_ratings(path, scale)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message.removeprefix(f"{path.parent}/")


@pytest.mark.parametrize(
    "content",
    [
        "7\t300\t4\t881250949\n9\t5\t2.5\t0\n",
        CSV + "7,300,4,881250949\n9,5,2.5,0\n",
        INTER + "7\t300\t4\t881250949\n9\t5\t2.5\t0.0\n",
        "rating,timestamp,movieId,userId\n4.0,881250949,300,7\n2.5,0,5,9\n",
        "rating:float\titem_id:token\tuser_id:token\ttimestamp:float\n4\t300\t7\t881250949\n2.5\t5\t9\t0\n",
        '"userId","movieId","rating","timestamp"\n"7","300","4","881250949"\n9,5,2.5,0\n',
        "\ufeff" + CSV + "7,300,4,881250949\n9,5,2.5,0\n",
        (CSV + "7,300,4,881250949\n9,5,2.5,0\n").replace("\n", "\r\n"),
        CSV + "\n7,300,4,881250949\n\n  \n9,5,2.5,0\n\n",
        CSV + "7,300,4,881250949\n9,5,2.5,0",
        CSV + " 7, 300 ,4, 881250949\n+9,005,2.5e0,0\n",
    ],
)
def test_the_formats(tmp_path: Path, content: str) -> None:
    ratings = read_ratings(write(tmp_path / "ratings", content)).ratings
    assert ratings.user_ids.tolist() == [7, 9]
    assert ratings.item_ids.tolist() == [300, 5]
    assert ratings.values.tolist() == [4.0, 2.5]
    assert ratings.timestamps.tolist() == [881250949, 0]
    assert [c.dtype for c in (ratings.user_ids, ratings.item_ids, ratings.values, ratings.timestamps)] == [
        np.int64,
        np.int64,
        np.float32,
        np.int64,
    ]


@pytest.mark.parametrize(
    "content",
    ["1\t2\t3\n", "userId,movieId,rating\n1,2,3\n", "user_id:token\titem_id:token\trating:float\n1\t2\t3\n"],
)
def test_a_timestamp_may_be_missing(tmp_path: Path, content: str) -> None:
    ratings = read_ratings(write(tmp_path / "ratings", content)).ratings
    assert (len(ratings), ratings.timestamps.tolist()) == (1, [0])


def test_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "ratings.csv.gz", gzip.compress((CSV + "1,2,3,4\n1,3,x,4\n").encode()))
    assert refusal(path) == "ratings.csv.gz:3: rating 'x' is not a number"
    write(path, path.read_bytes()[:-12])
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,abc,4", "rating 'abc' is not a number"),
        ("1,2,,4", "rating '' is not a number"),
        ("1,2,1_0,4", "rating '1_0' is not a number"),
        ("1,2,nan,4", "rating 'nan' is not a finite number"),
        ("1,2,-Inf,4", "rating '-Inf' is not a finite number"),
        ("1,2,1e39,4", "rating '1e39' is too large for a 32-bit float"),
        ("1,2,1e999,4", "rating '1e999' is too large for a 32-bit float"),
        ("x,2,3,4", "user id 'x' is not an integer"),
        ("1.0,2,3,4", "user id '1.0' is not an integer"),
        ("1,,3,4", "item id '' is not an integer"),
        ("\u0661,2,3,4", "user id '\u0661' is not an integer"),
        ("0,2,3,4", "user id 0 is not positive; ids start at 1"),
        ("1,-2,3,4", "item id -2 is not positive; ids start at 1"),
        ("1,9223372036854775808,3,4", f"item id 9223372036854775808 is over {LARGEST} (2^63 - 1), the largest id"),
        (f"1,{'9' * 5000},3,4", f"item id {'9' * 37}... is over {LARGEST} (2^63 - 1), the largest id"),
        ("1,2,3", "has 3 fields separated by commas where 4 are expected (user id, item id, rating, timestamp)"),
        ("1,2,3,4,5", "has 5 fields separated by commas where 4 are expected (user id, item id, rating, timestamp)"),
        ("1,2,3,soon", "timestamp 'soon' is not an integer (seconds since 1970)"),
        ("1,2,3,4.5", "timestamp '4.5' is not an integer (seconds since 1970)"),
        ("1,2,3,9223372036854775808", "timestamp '9223372036854775808' does not fit into 64 bits"),
        ('1,2,3,"4', "is not a line of a CSV file: unexpected end of data"),
        ("8,9,3,4", "user 8 has rated item 9 before, in line 2; keep one of the two"),
    ],
)
def test_a_broken_line(tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "ratings.csv", CSV + f"8,9,3,4\n\n5,6,1,4\n{line}\n4,4,4,4\n")
    assert refusal(path) == f"ratings.csv:5: {reason}"


def test_a_broken_line_of_the_tab_separated_formats(tmp_path: Path) -> None:
    path = write(tmp_path / "u.data", "1\t2\t3\t4\n1\t3\t3\n")
    assert refusal(path) == (
        "u.data:2: has 3 fields separated by tabs where 4 are expected (user id, item id, rating, timestamp)"
    )
    assert refusal(write(path, "1\t2\t3\t4\n\t\t\t\n")) == "u.data:2: user id '' is not an integer"
    path = write(tmp_path / "a.inter", INTER + "1\t2\t3\tnan\n")
    assert refusal(path) == "a.inter:2: timestamp 'nan' is not a number (seconds since 1970)"
    assert "does not fit" in refusal(write(path, INTER + "1\t2\t3\t1e19\n"))


def test_a_rating_off_the_scale(tmp_path: Path) -> None:
    path = write(tmp_path / "ratings.csv", CSV + "1,2,5,0\n1,3,5.5,0\n")
    assert refusal(path, RatingScale(1, 5)) == "ratings.csv:3: rating 5.5 is off the scale, 1 to 5"
    # The end points belong to it, also those that have no exact 32-bit form.
    read_ratings(write(path, CSV + "1,2,0.1,0\n1,3,4.1,0\n"), RatingScale(0.1, 4.1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "ratings: is empty"),
        ("\n\n", "ratings: is empty"),
        (CSV, "ratings: has a header but no ratings"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", "ratings: is in none of the known formats"),
        (b"PK\x03\x04\0\0\0\0\n", "ratings: is not a text file"),
        ((CSV + "1,2,3,4\n").encode("utf-16"), "ratings: is not a text file"),
        (CSV.encode() + b"1,2,3,4\n1,\xe9,3,4\n", "ratings:3: is not UTF-8 text"),
        ("1::2::3::4\n", "ratings:1: is in none of the known formats"),
        ("1 2 3 4\n", "ratings:1: is in none of the known formats"),
        ("1,2,3,4\n", "ratings:1: the header has an unknown column '1'; known are userId, movieId, rating, timestamp"),
        ("userId,movieId,stars\n", "ratings:1: the header has an unknown column 'stars'"),
        ("userId,movieId\n1,2\n", "ratings:1: the header has no column 'rating'"),
        ("userId,movieId,rating,userId\n", "ratings:1: the header has the column 'userId' twice"),
        ("user_id:token\trating:float\n", "ratings:1: the header has no column 'item_id'"),
        ("user_id:token\titem_id:token\tlabel:float\n", "ratings:1: the header has an unknown column 'label'"),
    ],
)
def test_a_file_that_is_no_rating_file(tmp_path: Path, content: str | bytes, message: str) -> None:
    found = refusal(write(tmp_path / "ratings", content))
    if content[:1] == b"\x89":
        assert found.startswith("ratings:1: is not")
    else:
        assert found.startswith(message)


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.csv") == "none.csv: there is no such file"
    assert refusal(tmp_path).endswith("is a directory, not a file")


def test_errors_in_a_later_block_have_their_line(tmp_path: Path) -> None:
    lines = [f"{1 + row // 1000},{1 + row % 1000},3,0\n" for row in range(300_000)]
    path = tmp_path / "ratings.csv"
    assert len(read_ratings(write(path, CSV + "".join(lines))).ratings) == 300_000
    lines[290_000] = "5,x,3,0\n"
    assert refusal(write(path, CSV + "".join(lines))) == "ratings.csv:290002: item id 'x' is not an integer"
    lines[290_000] = "1,1,3,0\n"
    assert refusal(write(path, CSV + "".join(lines))).startswith("ratings.csv:290002: user 1 has rated item 1 before")


def test_blank_lines_in_any_block(tmp_path: Path) -> None:
    lines = [f"{1 + row // 1000},{1 + row % 1000},3,0\n" for row in range(100_000)]
    lines.insert(90_000, (" " * 99 + "\n") * 30_000)
    file = read_ratings(write(tmp_path / "ratings.csv", CSV + "".join(lines)))
    assert file.lines.tolist() == [*range(2, 90_002), *range(120_002, 130_002)]
    lines.append("7,8,nan,0\n")
    found = refusal(write(tmp_path / "ratings.csv", CSV + "".join(lines)))
    assert found == "ratings.csv:130002: rating 'nan' is not a finite number"


def test_a_line_end_inside_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "ratings.csv", CSV + "1,2,3,4\r5,6,7,8\n")
    assert refusal(path).startswith("ratings.csv:2: ")
    assert refusal(write(path, CSV + '"1\n",2,3,4\n')).startswith("ratings.csv:2: ")


def test_the_first_line_may_be_a_blank_one_or_have_blank_fields(tmp_path: Path) -> None:
    file = read_ratings(write(tmp_path / "u.data", "\n \r\n1\t2\t3\t4\n\n5\t6\t7\t8"))
    assert (file.ratings.user_ids.tolist(), file.lines.tolist()) == ([1, 5], [3, 5])
    assert refusal(write(tmp_path / "u.data", "\t\t\t\n1\t2\t3\t4\n")) == "u.data:1: user id '' is not an integer"


def test_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = CSV + "".join(f"{1 + row // 1000},{1 + row % 1000},3,0\n" for row in range(200_000)) + "1,x,3,0\n"
    writer = threading.Thread(target=path.write_text, args=(content,))
    writer.start()
    assert refusal(path) == "pipe:200002: item id 'x' is not an integer"
    writer.join()


def test_the_memory_that_reading_takes(tmp_path: Path) -> None:
    """At most four times the columns."""
    count = 1_000_000
    path = tmp_path / "ratings.csv"
    path.write_text(CSV + "".join(f"{1 + row // 1000},{1 + row % 1000},3,0\n" for row in range(count)))
    code = f"""if True:
        from pathlib import Path
        from peak_memory import peak_bytes
        from rankserve_training.data.ratings_file import read_ratings
        before = peak_bytes()
        print(len(read_ratings(Path({str(path)!r})).ratings), peak_bytes() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=TESTS
    )
    found, taken = map(int, done.stdout.split())
    assert found == count
    assert taken < 4 * count * (8 + 8 + 4 + 8), f"{taken / count:.0f} bytes a rating"


rating_values = st.floats(min_value=-1e6, max_value=1e6, width=32)
rows = st.lists(
    st.tuples(st.integers(1, LARGEST), st.integers(1, LARGEST), rating_values, st.integers(-(2**53), 2**53)),
    min_size=1,
    max_size=20,
    unique_by=lambda row: row[:2],
)
formats = st.sampled_from([("", "\t"), (CSV, ","), (INTER, "\t")])


def render(header: str, delimiter: str, rows: list[Row]) -> list[str]:
    return [header, *(delimiter.join(map(repr, row)) + "\n" for row in rows)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(rows, formats)
def test_what_is_written_is_read(tmp_path: Path, rows: list[Row], layout: tuple[str, str]) -> None:
    file = read_ratings(write(tmp_path / "ratings", "".join(render(*layout, rows))))
    assert file.ratings.user_ids.tolist() == [row[0] for row in rows]
    assert file.ratings.item_ids.tolist() == [row[1] for row in rows]
    assert file.ratings.values.tolist() == [row[2] for row in rows]
    assert file.ratings.timestamps.tolist() == [row[3] for row in rows]
    first = 2 if layout[0] else 1
    assert file.lines.tolist() == list(range(first, first + len(rows)))


broken_fields = st.sampled_from(["", "x", "nan", "-inf", "0x10", "1e400", "3 4", "²", "--1"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(rows, formats, broken_fields, st.data())
def test_a_random_fault_is_refused_with_its_line(
    tmp_path: Path, rows: list[Row], layout: tuple[str, str], fault: str, data: st.DataObject
) -> None:
    header, delimiter = layout
    lines = render(header, delimiter, rows)
    # The first line of a file without a header also decides the format.
    row = data.draw(st.integers(1, len(rows)), label="row")
    fields = lines[row].rstrip("\n").split(delimiter)
    fields[data.draw(st.integers(0, 3), label="column")] = fault
    lines[row] = delimiter.join(fields) + "\n"
    number = row + 1 if header else row
    assert refusal(write(tmp_path / "ratings", "".join(lines))).startswith(f"ratings:{number}: ")


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=12))
def test_first_repeat(pairs: list[tuple[int, int]]) -> None:
    expected = next(
        ((pairs.index(pair), row) for row, pair in enumerate(pairs) if pair in pairs[:row]),
        None,
    )
    users = np.array([user for user, _ in pairs], np.int64)
    items = np.array([item for _, item in pairs], np.int64)
    assert first_repeat(users, items) == expected
