"""The command, as a user starts it."""

import json
import math
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from client.scripted_server import Refused, ScriptedServer, echo
from client.test_client_messages import full_model
from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client.cli import commands, group
from rankserve_client.cli.output import shortest
from rankserve_client.version import __version__

RANKSERVE = str(Path(sys.executable).with_name("rankserve"))
PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in os.environ.items() if name != "RANKSERVE_SERVER"} | environment
    return subprocess.run(
        [RANKSERVE, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=variables,
        timeout=30,
        check=False,
    )


def refuse(*arguments: Any) -> Any:
    def answer(_: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        raise Refused(*arguments)

    return answer


@pytest.fixture
def movies(server: ScriptedServer) -> ScriptedServer:
    """Answers with two movies, one of them unknown, for an unknown user."""
    server.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[204, 999999],
        scores=[3.7, 3.125],
        titles=["Back to the Future (1985) [colour] é " + "x" * 100, ""],
        unknown_item_ids=[999999],
        user_known=False,
        model_name="movielens",
        model_version=3,
    )
    server.models = [full_model()]
    return server


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
    process = run("rank", "--user", "42", "204", "999999", "--server", movies.target, "--json")
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


@pytest.fixture
def chosen(movies: ScriptedServer) -> ScriptedServer:
    """Answers with two movies ranked by choice, for a user with a history."""
    movies.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[204, 131],
        scores=[3.5, 4.5],
        titles=["Back to the Future (1985)", "Breakfast at Tiffany's (1961)"],
        model_name="movielens",
        model_version=3,
        choice_scores=[-1.0, -1.0 - math.log(4)],
        user_basis=ranking_pb2.USER_BASIS_HISTORY,
    )
    return movies


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
    process = run("rank", "--user", "42", "204", "--server", movies.target, PYTHONIOENCODING="ascii")
    assert (process.returncode, process.stderr) == (0, "")
    assert "3.70  ***" in process.stdout
    assert "[colour] ? x" in process.stdout


def test_titles_cannot_break_out_of_the_table(movies: ScriptedServer) -> None:
    movies.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[1], scores=[1], titles=["a\nb\x1b[31mc"], model_name="m", model_version=1
    )
    process = run("rank", "--user", "42", "1", "--server", movies.target)
    assert "a b [31mc" in process.stdout


def test_lists_models(server: ScriptedServer) -> None:
    server.models = [
        full_model(),
        models_pb2.Model(
            name="movielens", version=2, state=models_pb2.MODEL_STATE_FAILED, state_message="model.keras is truncated"
        ),
    ]
    process = run("models", "--server", server.target)
    assert (process.returncode, process.stderr) == (0, "")
    head, first, second, *notes = process.stdout.splitlines()
    columns = "name version state default users items metrics abilities trained dataset"
    assert head.split() == columns.split()
    assert "movielens, @stable" in first
    for text in ("3", "ready", "yes", "943", "1,682", "test_rmse 0.9375", "2026-01-02 03:04 UTC", "movielens/100k"):
        assert text in first
    assert "history, features (age, gender), new items, choice" in first
    assert "failed" in second
    assert notes == [
        "movielens version 3 is ready: fine",
        "movielens version 2 is failed: model.keras is truncated",
    ]


def test_lists_models_as_json(server: ScriptedServer) -> None:
    server.models = [full_model(), models_pb2.Model(name="other", version=1)]
    process = run("models", "--server", server.target, "--json")
    first, second = json.loads(process.stdout)["models"]
    assert first == {
        "name": "movielens",
        "version": 3,
        "state": "ready",
        "state_message": "fine",
        "is_default": True,
        "aliases": ["stable"],
        "created": "2026-01-02T03:04:05+00:00",
        "preset": "tutorial",
        "dataset": {"name": "movielens/100k", "fingerprint": "ab12", "rating_count": 100000},
        "user_count": 943,
        "item_count": 1682,
        "rating_min": 1.0,
        "rating_max": 5.0,
        "metrics": {"test_rmse": 0.9375, "train_rmse": 0.875},
        "library_versions": {"keras": "3.15.1"},
        "abilities": {"history": True, "user_features": ["age", "gender"], "new_items": True, "choice": True},
    }
    assert second.keys() == first.keys()
    assert (second["created"], second["dataset"]) == (None, None)
    assert second["abilities"] == {"history": False, "user_features": [], "new_items": False, "choice": False}


def test_a_server_without_models_says_what_to_do(server: ScriptedServer) -> None:
    assert (
        run("models", "--server", server.target).stdout
        == "the server has no models; publish one with: rankserve train\n"
    )


@pytest.mark.parametrize("command", [["rank", "--user", "42", "204"], ["models"]])
def test_no_server_is_one_helpful_line(command: list[str]) -> None:
    process = run(*command, "--server", "127.0.0.1:1")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "Error: no server answers at 127.0.0.1:1; start one with: rankserve serve\n"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (refuse(grpc.StatusCode.NOT_FOUND, "there is no model 'x'"), "Error: there is no model 'x'\n"),
        (refuse(grpc.StatusCode.INTERNAL, "oops"), "Error: oops\n"),
    ],
)
def test_a_failed_call_is_one_line(server: ScriptedServer, answer: Any, line: str) -> None:
    server.answer = answer
    process = run("rank", "--user", "42", "204", "--server", server.target)
    assert (process.returncode, process.stdout, process.stderr) == (1, "", line)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("rank 204", "Missing option '--user'"),
        ("rank --user x 204", "'x' is not a valid integer"),
        ("rank --history 5 204", "'5' is not ITEM=RATING"),
        ("rank --history x=4 204", "'x=4' is not ITEM=RATING"),
        ("rank --history 5=inf 204", "'5=inf' is not ITEM=RATING"),
        ("rank --history 99999999999999999999=4 204", "`history`"),
        ("rank --feature age 204", "'age' is not NAME=VALUE"),
        ("rank --feature =24 204", "'=24' is not NAME=VALUE"),
        ("rank --feature age=24 --feature age=25 204", "'age' again"),
        ("rank --user 42 204 --rank-by likes", "--rank-by"),
        ("rank --user 42 x", "'x' is not a valid integer"),
        ("rank --user 42 204 --top-k 0", "--top-k"),
        ("rank --user 42 204 --version 0", "--version"),
        ("rank --user 42 204 --version 1 --alias a", "exclude each other"),
        ("rank --user 42 204 --timeout 0", "--timeout"),
        ("rank --user 99999999999999999999 204", "`user_id`"),
        ("rank --user 42 204 --server nonsense", "--server"),
        ("models --server one.example:1 --server two.example:1", "give one name that resolves to all"),
        ("models extra", "unexpected extra argument"),
        ("nonsense", "No such command 'nonsense'"),
        ("--nonsense", "No such option"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: str, words: str) -> None:
    process = run(*arguments.split())
    assert (process.returncode, process.stdout) == (2, "")
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_help_lists_every_command_in_one_line() -> None:
    process = run("--help")
    assert process.returncode == 0
    for name in PYPROJECT["project"]["entry-points"][commands.ENTRY_POINT_GROUP]:
        assert commands.SUMMARIES[name] in process.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["rank", "--help"], ["models", "-h"]])
def test_help_has_an_example(arguments: list[str]) -> None:
    process = run(*arguments)
    assert process.returncode == 0
    assert "Example" in process.stdout
    assert "\n    rankserve " in process.stdout


def test_the_keys_of_json_are_in_the_help(chosen: ScriptedServer) -> None:
    ranked = json.loads(run("rank", "--user", "42", "204", "--server", chosen.target, "--json").stdout)
    (model,) = json.loads(run("models", "--server", chosen.target, "--json").stdout)["models"]
    rank_help, models_help = run("rank", "--help").stdout, run("models", "--help").stdout
    assert all(key in rank_help for key in [*ranked, *ranked["items"][0], *ranked["model"]])
    assert all(key in models_help for key in [*model, *model["dataset"], *model["abilities"]])


def test_version() -> None:
    assert run("--version").stdout == f"rankserve {__version__}\n"


def test_a_reader_that_leaves_is_no_error(server: ScriptedServer) -> None:
    server.answer = lambda _: echo(ranking_pb2.RankRequest(user_id=1, candidate_ids=range(50_000), include_titles=True))
    command = f"{RANKSERVE} rank --user 42 --top-k 50000 --server {server.target} --json | head -c 10"
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert (process.stdout, process.stderr) == ('{"user_id"', "")
    table = command.replace(" --json", "").replace("-c 10", "-1")
    process = subprocess.run(["bash", "-c", table], capture_output=True, text=True, timeout=30, check=False)
    assert process.stdout.split() == ["rank", "item", "title", "predicted"]
    assert process.stderr == ""


def test_ctrl_c_is_one_line(server: ScriptedServer) -> None:
    command = [RANKSERVE, "rank", "--user", "42", "204", "--server", server.target]
    interrupted = False

    def interrupt(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        nonlocal interrupted
        process.send_signal(signal.SIGINT)
        interrupted = server.ended.wait(5)
        return echo(request)

    server.answer = interrupt
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (1, "", "Error: interrupted\n")
    assert interrupted


class EntryPoints:
    """Stands in for the installed entry points: commands that fail in their ways."""

    def __init__(self, **failures: BaseException) -> None:
        self._failures = failures

    def __call__(self) -> dict[str, Any]:
        return {name: self._entry_point(name, failure) for name, failure in self._failures.items()}

    @staticmethod
    def _entry_point(name: str, failure: BaseException) -> Any:
        class EntryPoint:
            module = f"rankserve_{'training' if name == 'train' else 'elsewhere'}.cli"
            value = f"{module}:{name}"

            def load(self) -> click.Command:
                def fail() -> None:
                    raise failure

                return click.Command(name, callback=fail)

        EntryPoint.name = name  # type: ignore[attr-defined]  # a stand-in
        return EntryPoint()


@pytest.mark.parametrize(
    ("failure", "code", "output"),
    [
        (click.ClickException("the ratings are empty"), 1, "Error: the ratings are empty\n"),
        (FileNotFoundError(2, "No such file or directory", "u.data"), 1, "Error: u.data: No such file or directory\n"),
        (OSError("the disk is full"), 1, "Error: the disk is full\n"),
        (KeyboardInterrupt(), 1, "Error: interrupted\n"),
        (
            ModuleNotFoundError("No module named 'keras'", name="keras"),
            1,
            "Error: rankserve train needs the training extra: pip install 'rankserve[training]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'rankserve_training.cli'", name="rankserve_training.cli"),
            1,
            "Error: rankserve train needs the training extra: pip install 'rankserve[training]'\n",
        ),
        (click.exceptions.Exit(3), 3, ""),
    ],
    ids=repr,
)
def test_other_packages_commands_fail_in_one_line(
    monkeypatch: pytest.MonkeyPatch, failure: BaseException, code: int, output: str
) -> None:
    monkeypatch.setattr(group, "find_commands", EntryPoints(train=failure))
    result = CliRunner().invoke(group.main, ["train"], prog_name="rankserve")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", output)


@pytest.mark.parametrize(
    ("name", "failure"),
    [
        ("train", RuntimeError("a fault")),
        ("train", ModuleNotFoundError("a fault", name="rankserve_training.data.missing")),
        ("other", ModuleNotFoundError("a fault", name="numpy")),
    ],
)
def test_faults_of_the_program_keep_their_traceback(
    monkeypatch: pytest.MonkeyPatch, name: str, failure: BaseException
) -> None:
    monkeypatch.setattr(group, "find_commands", EntryPoints(**{name: failure}))
    assert CliRunner().invoke(group.main, [name]).exception is failure


def test_a_foreign_command_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "find_commands", EntryPoints(zebra=RuntimeError()))
    assert "zebra" in CliRunner().invoke(group.main, ["--help"]).stdout


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_number_is_the_same_float(value: float) -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy.float32(shortest(value)) == numpy.float32(value)
    assert len(repr(shortest(value))) <= len(repr(value))


@pytest.mark.parametrize(("sent", "printed"), [(3.700000047683716, 3.7), (3.125, 3.125), (0.0, 0.0), (-1.5, -1.5)])
def test_scores_are_printed_as_short_as_they_are(sent: float, printed: float) -> None:
    assert shortest(sent) == printed
