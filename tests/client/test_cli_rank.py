"""`rankserve rank`, as a user starts it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.command import run, start
from client.scripted_server import ScriptedServer
from rankserve.v1 import ranking_pb2
from rankserve_client.cli.output import shortest


def test_prints_a_table_that_a_pipe_does_not_cut(movies: ScriptedServer) -> None:
    process = run("rank", "--user", "42", "204", "999999", "--server", movies.target)
    assert (process.returncode, process.stderr) == (0, "")
    head, first, second, empty, *notes = process.stdout.splitlines()
    assert head.split() == ["rank", "item", "title", "predicted"]
    assert first.split()[:2] == ["1", "204"]
    assert "Back to the Future (1985) [colour] é " + "x" * 100 in first
    assert first.split()[-2:] == ["3.70", "★★★½"]
    assert second.split() == ["2", "999999", "3.12", "★★★"]
    assert empty == ""
    assert notes == [
        "movielens version 3",
        "user 42 is unknown to the model: scored as a new user",
        "items unknown to the model, scored as new ones: 999999",
    ]
    assert "\x1b" not in process.stdout


def test_prints_one_json_object(movies: ScriptedServer) -> None:
    process = start("rank", "--user", "42", "204", "999999", "--server", movies.target, "--json")
    assert (process.returncode, process.stderr) == (0, "")
    assert json.loads(process.stdout) == {
        "user_id": 42,
        "user_known": False,
        "user_basis": "average",
        "model": {"name": "movielens", "version": 3},
        "rank_by": "rating",
        "items": [
            {
                "rank": 1,
                "item_id": 204,
                "title": "Back to the Future (1985) [colour] é " + "x" * 100,
                "score": 3.7,
            },
            {"rank": 2, "item_id": 999999, "title": "", "score": 3.125},
        ],
        "unknown_item_ids": [999999],
        "described_item_ids": [],
    }
    assert len(movies.requests) == 1, "JSON needs one call only"


def test_every_option_of_rank_is_sent(server: ScriptedServer) -> None:
    arguments = (
        "rank --user 42 204 141 --top-k 1 --model m --version 3 --exclude-seen --exclude 5 --exclude 6 --as-sent "
        "--history 5=4 --history 6=1.5 --feature age=24 --feature note=a=b --rank-by choice"
    )
    assert run(*arguments.split(), "--json", "--server", server.target).returncode == 0
    assert run("rank", "--user", "-1", "--alias", "stable", "--json", "--server", server.target).returncode == 0
    assert server.requests == [
        ranking_pb2.RankRequest(
            user_id=42,
            candidate_ids=[204, 141],
            top_k=1,
            model=ranking_pb2.ModelSelector(name="m", version=3),
            exclude_seen=True,
            exclude_ids=[5, 6],
            order=ranking_pb2.ORDER_AS_SENT,
            include_titles=True,
            history=ranking_pb2.History(item_ids=[5, 6], ratings=[4.0, 1.5]),
            user_features={"age": "24", "note": "a=b"},
            rank_by=ranking_pb2.RANK_BY_CHOICE,
        ),
        ranking_pb2.RankRequest(
            user_id=-1, top_k=10, model=ranking_pb2.ModelSelector(alias="stable"), include_titles=True
        ),
    ]


def test_a_table_ranked_by_choice_compares_with_the_likeliest(chosen: ScriptedServer) -> None:
    process = run("rank", "--history", "50=5", "--rank-by", "choice", "--server", chosen.target)
    assert (process.returncode, process.stderr) == (0, "")
    head, first, second, _, *notes = process.stdout.splitlines()
    assert head.split() == ["rank", "item", "title", "choice", "predicted"]
    assert first.split()[-3:] == ["100.0%", "3.50", "★★★½"]
    assert second.split()[-3:] == ["25.0%", "4.50", "★★★★½"]
    assert notes == [
        "movielens version 3",
        "user 0 is unknown to the model: scored from 1 rating of the request",
        "ranked by choice: how likely each item is chosen, relative to the likeliest",
    ]


def test_json_ranked_by_choice_has_the_choice_scores(chosen: ScriptedServer) -> None:
    printed = json.loads(run("rank", "--history", "50=5", "--json", "--server", chosen.target).stdout)
    assert (printed["user_id"], printed["user_basis"], printed["rank_by"]) == (0, "history", "choice")
    assert [(item["score"], item["choice_score"]) for item in printed["items"]] == [(3.5, -1.0), (4.5, -2.3862944)]


@pytest.mark.parametrize(
    ("basis", "known", "notes"),
    [
        (ranking_pb2.USER_BASIS_KNOWN_AND_HISTORY, True, ["is known to the model: scored with 2 ratings", "no effect"]),
        (ranking_pb2.USER_BASIS_HISTORY_AND_FEATURES, False, ["scored from 2 ratings and 1 feature of the request"]),
        (ranking_pb2.USER_BASIS_FEATURES, False, ["scored from 1 feature of the request", "none of their items"]),
        (
            ranking_pb2.USER_BASIS_AVERAGE,
            False,
            ["scored as a new user", "none of their items", "none of their values"],
        ),
        (ranking_pb2.USER_BASIS_KNOWN, True, ["none of their items", "it is for unknown users that they count"]),
    ],
)
def test_notes_say_what_the_user_was_scored_by(
    server: ScriptedServer, basis: "ranking_pb2.UserBasis.ValueType", known: bool, notes: list[str]
) -> None:
    server.answer = lambda _: ranking_pb2.RankResponse(
        user_known=known, user_basis=basis, model_name="m", model_version=3
    )
    known_of_the_user = ("--history", "5=4", "--history", "6=2", "--feature", "age=24")
    process = run("rank", "--user", "42", *known_of_the_user, "204", "--server", server.target)
    printed = process.stdout.splitlines()[3:]
    assert len(printed) == len(notes)
    for line, words in zip(printed, notes, strict=True):
        assert words in line


@pytest.mark.parametrize(
    "text",
    [
        "item,rating\n5,4\n6,1.5\n",
        "5,4\r\n\r\n6,1.5",
        "\ufeffItem, Rating\n5,4\n6,1.5\n",
        '"item","rating"\n"5","4"\n6, 1.5',
    ],
)
def test_ratings_can_come_from_a_file(server: ScriptedServer, tmp_path: Path, text: str) -> None:
    file = tmp_path / "ratings.csv"
    file.write_bytes(text.encode())
    options = ("--history", "7=3", "--history-file", str(file))
    process = run("rank", *options, "204", "--json", "--server", server.target)
    assert (process.returncode, process.stderr) == (0, "")
    (request,) = server.requests
    assert request.user_id == 0, "a user that no model knows"
    assert request.history == ranking_pb2.History(item_ids=[7, 5, 6], ratings=[3.0, 4.0, 1.5])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"item,rating\n5,4\nx,4\n", ", line 3: should be an item and its rating, such as 204,4.5"),
        (b"user,item,rating\n1,5,4\n", ", line 1: should be an item and its rating, such as 204,4.5"),
        (b"5,4\n6\n", ", line 2: should be an item and its rating, such as 204,4.5"),
        (b"5,nan\n", ", line 1: should be an item and its rating, such as 204,4.5"),
        (b"5,4\n\xff,4\n", ", line 2: should be an item and its rating, such as 204,4.5"),
        (b"item,rating\n", ": there are no ratings in it"),
        (None, ": No such file or directory"),
    ],
)
def test_a_broken_file_of_ratings_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "ratings.csv"
    if content is not None:
        file.write_bytes(content)
    process = run("rank", "--history-file", str(file), "204")
    assert (process.returncode, process.stdout, process.stderr) == (1, "", f"Error: {file}{message}\n")


def test_the_server_can_come_from_the_environment(server: ScriptedServer) -> None:
    process = run("rank", "--user", "42", "204", "--json", RANKSERVE_SERVER=f"{server.target} {server.target}")
    assert (process.returncode, process.stderr) == (0, "")


def test_without_a_scale_there_are_no_stars(movies: ScriptedServer) -> None:
    movies.models = []
    process = run("rank", "--user", "42", "204", "--server", movies.target)
    assert (process.returncode, process.stderr) == (0, "")
    assert "3.70" in process.stdout
    assert "★" not in process.stdout


def test_an_empty_ranking_is_said(server: ScriptedServer) -> None:
    server.answer = lambda _: ranking_pb2.RankResponse(model_name="movielens", model_version=3, user_known=True)
    process = run("rank", "--user", "42", "204", "--exclude", "204", "--server", server.target)
    assert process.stdout.splitlines() == ["no items", "", "movielens version 3"]


def test_an_ascii_terminal_gets_what_it_can_show(movies: ScriptedServer) -> None:
    process = start("rank", "--user", "42", "204", "--server", movies.target, PYTHONIOENCODING="ascii")
    assert (process.returncode, process.stderr) == (0, "")
    assert "3.70  ***" in process.stdout
    assert "[colour] ? x" in process.stdout


def test_titles_cannot_break_out_of_the_table(movies: ScriptedServer) -> None:
    movies.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[1], scores=[1], titles=["a\nb\x1b[31mc"], model_name="m", model_version=1
    )
    process = run("rank", "--user", "42", "1", "--server", movies.target)
    assert "a b [31mc" in process.stdout


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_number_is_the_same_float(value: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy.float32(shortest(value)) == numpy.float32(value)
    assert len(repr(shortest(value))) <= len(repr(value))


@pytest.mark.parametrize(("sent", "printed"), [(3.700000047683716, 3.7), (3.125, 3.125), (0.0, 0.0), (-1.5, -1.5)])
def test_scores_are_printed_as_short_as_they_are(sent: float, printed: float) -> None:
    assert shortest(sent) == printed
