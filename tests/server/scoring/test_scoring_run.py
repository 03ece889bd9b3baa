"""Runs of `rankserve score`: what is there is kept, what is missing is written, and nothing else is touched."""

import dataclasses
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rankserve_server.scoring import output_directory
from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.part_writer import PartWriter
from rankserve_server.scoring.scoring_job import Part, ScoringJob
from rankserve_server.scoring.scoring_run import Outcome, Request, ScoringRun
from server.two_towers import USERS, Published

USERS_PER_FILE = 7
FILES = 6
TOP_K = 5


class CutError(Exception):
    """Ends a run."""


@pytest.fixture
def request_(published: Published, tmp_path: Path) -> Request:
    return Request(
        model=published.directory,
        output=tmp_path / "scores",
        top_k=TOP_K,
        users=None,
        items=None,
        rank_by="default",
        exclude_seen=False,
        users_per_file=USERS_PER_FILE,
        max_table_mib=2_048,
        trusted_keys=(),
        overwrite=False,
    )


def run(request: Request, most: int = 1_000) -> Outcome:
    """In this process; ended behind so many files."""

    def write(job: ScoringJob, parts: Sequence[Part]) -> Iterator[Part]:
        writer = PartWriter(job)
        for number, part in enumerate(parts):
            if number == most:
                raise CutError
            writer.write(part)
            yield part

    return ScoringRun(request).write(write, lambda _done, _total: None)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_all_users(request_: Request) -> None:
    outcome = run(request_)
    assert (outcome.users, outcome.unknown_users, outcome.rows) == (USERS, 0, USERS * TOP_K)
    assert (outcome.files, outcome.files_written, outcome.users_scored) == (FILES, FILES, USERS)
    success = json.loads((request_.output / "_SUCCESS").read_text())
    assert (success["users"], success["known_users"], success["rows"]) == (USERS, USERS, USERS * TOP_K)
    assert [part["file"] for part in success["parts"]] == [f"part-0000{number}.parquet" for number in range(FILES)]
    table = pq.read_table(request_.output)  # passes over what is no part
    assert table.column_names == ["user_id", "rank", "item_id", "score", "choice_score"]
    assert table["user_id"].to_pylist() == [3 * user for user in range(1, USERS + 1) for _ in range(TOP_K)]
    said = pq.read_metadata(request_.output / "part-00002.parquet").metadata
    assert (said[b"rankserve.model"], said[b"rankserve.version"], said[b"rankserve.rank_by"]) == (
        b"towers",
        b"1",
        b"choice",
    )
    assert said[b"rankserve.manifest_sha256"].decode() == success["plan"]["manifest_sha256"]


def test_a_run_goes_on_where_one_was_cut(request_: Request, tmp_path: Path) -> None:
    whole = dataclasses.replace(request_, output=tmp_path / "whole")
    run(whole)
    with pytest.raises(CutError):
        run(request_, most=2)
    assert sorted(contents(request_.output)) == ["_plan.json", "part-00000.parquet", "part-00001.parquet"]
    (request_.output / ".unfinished-part-00002.parquet-0").write_bytes(b"PAR1 killed here")
    (request_.output / "part-00001.parquet").write_bytes(b"PAR1 damaged")
    kept = (request_.output / "part-00000.parquet").stat().st_ino
    assert run(request_).files_written == FILES - 1
    assert (request_.output / "part-00000.parquet").stat().st_ino == kept
    assert contents(request_.output) == contents(whole.output)
    again = run(request_)
    assert (again.files_written, again.users_scored, again.pairs_per_second) == (0, 0, 0)
    assert contents(request_.output) == contents(whole.output)


def test_a_part_of_another_run_is_written_anew(request_: Request, tmp_path: Path) -> None:
    other = dataclasses.replace(request_, output=tmp_path / "other", top_k=TOP_K + 1)
    run(other)
    run(request_)
    before = contents(request_.output)
    shutil.copy(other.output / "part-00003.parquet", request_.output / "part-00003.parquet")
    shutil.copy(request_.output / "part-00000.parquet", request_.output / "part-00001.parquet")
    assert run(request_).files_written == 2
    assert contents(request_.output) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top_k": 6}, "top_k is 5 there and 6 here"),
        ({"exclude_seen": True}, "exclude_seen is False there and True here"),
        ({"users_per_file": 8}, "users_per_file is 7 there and 8 here"),
        ({"rank_by": "rating"}, "rank_by is default there and rating here"),
        ({"max_table_mib": 0}, "max_table_mib is 2048 there and 0 here"),
    ],
)
def test_other_arguments(request_: Request, change: dict[str, object], words: str) -> None:
    with pytest.raises(CutError):
        run(request_, most=1)
    before = contents(request_.output)
    other = dataclasses.replace(request_, **change)  # type: ignore[arg-type]  # of one field each
    with pytest.raises(ScoringError, match=words):
        run(other)
    assert contents(request_.output) == before


def test_arguments_of_which_nothing_has_come_are_in_nobodys_way(request_: Request, tmp_path: Path) -> None:
    with pytest.raises(CutError):
        run(request_, most=0)
    other = dataclasses.replace(request_, top_k=TOP_K + 1)
    assert run(other).files_written == FILES
    expected = dataclasses.replace(other, output=tmp_path / "expected")
    run(expected)
    assert contents(request_.output) == contents(expected.output)


def test_while_a_part_that_was_lost_is_missing_so_is_success(request_: Request) -> None:
    run(request_)
    before = contents(request_.output)
    (request_.output / "part-00002.parquet").unlink()
    with pytest.raises(CutError):
        run(request_, most=0)
    assert sorted(contents(request_.output)) == sorted(before.keys() - {"_SUCCESS", "part-00002.parquet"})
    run(request_)
    assert contents(request_.output) == before


def test_overwriting(request_: Request, tmp_path: Path) -> None:
    run(request_)
    other = dataclasses.replace(request_, users_per_file=20, overwrite=True)
    assert run(other).files_written == 2
    expected = dataclasses.replace(other, output=tmp_path / "expected")
    run(expected)
    assert contents(request_.output) == contents(expected.output)


def test_another_version(request_: Request, published: Published, tmp_path: Path) -> None:
    run(request_)
    newer = tmp_path / "models" / "towers" / "1"
    shutil.copytree(published.directory, newer)
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(manifest | {"created": "2020-01-01T00:00:00Z"}))
    with pytest.raises(ScoringError, match="manifest_sha256 is"):
        run(dataclasses.replace(request_, model=newer))


def test_what_is_not_ours_is_left_alone(request_: Request) -> None:
    request_.output.mkdir()
    (request_.output / "letters.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(ScoringError, match=r"holds 'letters\.txt', and no scores"):
            run(dataclasses.replace(request_, overwrite=overwrite))
    assert contents(request_.output) == {"letters.txt": b"dear"}


def test_a_part_too_many(request_: Request) -> None:
    run(request_)
    shutil.copy(request_.output / "part-00000.parquet", request_.output / "part-00006.parquet")
    with pytest.raises(ScoringError, match=r"part-00006\.parquet is none of these scores"):
        run(request_)


def test_one_run_at_a_time(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_directory, "_LOCK_SECONDS", 0.1)
    request_.output.mkdir()
    descriptor = os.open(request_.output, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ScoringError, match="another 'rankserve score' writes"):
        run(request_)
    os.close(descriptor)
    assert run(request_).files_written == FILES


def test_a_version_that_was_changed(request_: Request, published: Published, tmp_path: Path) -> None:
    copy = tmp_path / "models" / "towers" / "1"
    shutil.copytree(published.directory, copy)
    (copy / "model.keras").write_bytes(b"damaged")
    with pytest.raises(ScoringError, match="cut short or changed"):
        run(dataclasses.replace(request_, model=copy))
    assert not request_.output.exists()


def test_wrong_scores_are_not_written(request_: Request, published: Published, tmp_path: Path) -> None:
    copy = tmp_path / "models" / "towers" / "1"
    shutil.copytree(published.directory, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["golden_requests"][0]["scores"][0] += 0.5
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ScoringError, match="golden request is off by"):
        run(dataclasses.replace(request_, model=copy))
    assert sorted(contents(request_.output)) == ["_plan.json"]


@pytest.fixture
def listed(request_: Request, tmp_path: Path) -> Callable[[bytes, bytes], Request]:
    """The same with lists of ids."""

    def with_lists(users: bytes, items: bytes) -> Request:
        (tmp_path / "users").write_bytes(users)
        (tmp_path / "items").write_bytes(items)
        return dataclasses.replace(request_, users=tmp_path / "users", items=tmp_path / "items")

    return with_lists


def test_listed_ids(listed: Callable[[bytes, bytes], Request]) -> None:
    outcome = run(listed(b"\xef\xbb\xbf9\r\n3\n\n9\n-4\n", b"10\n5\n10\n10\n7"))
    assert (outcome.users, outcome.unknown_users, outcome.items, outcome.unknown_items) == (3, 1, 3, 1)
    assert outcome.repeated_ids == 3
    table = pq.read_table(outcome.output)
    assert table.column_names == ["user_id", "rank", "item_id", "score"]  # candidates are ranked by rating
    assert table["user_id"].to_pylist() == [9] * 3 + [3] * 3 + [-4] * 3
    assert {frozenset(table["item_id"].to_pylist()[start : start + 3]) for start in (0, 3, 6)} == {
        frozenset({5, 7, 10})
    }


def test_another_list(listed: Callable[[bytes, bytes], Request]) -> None:
    run(listed(b"9\n3\n", b"10\n"))
    with pytest.raises(ScoringError, match="users is"):
        run(listed(b"9\n6\n", b"10\n"))
    with pytest.raises(ScoringError, match="items is"):
        run(listed(b"9\n3\n", b"5\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"3\nx9\n", "line 2: 'x9' is not an id"),
        (b"3\n9223372036854775808\n", "line 2"),
        (b"1.5\n", "line 1"),
        (b"3\n\xff\n", "line 2"),
        (b"3\n1_000\n", "line 2: '1_000' is not an id"),
        ("3\n٣\n".encode(), "line 2: '٣' is not an id"),
        (b"7" * 10_000_000, "line 1: '7777777"),
        (b"\n\n", "there are no ids in it"),
    ],
)
def test_a_list_that_is_none(listed: Callable[[bytes, bytes], Request], content: bytes, words: str) -> None:
    with pytest.raises(ScoringError, match=words):
        run(listed(content, b"5\n"))
