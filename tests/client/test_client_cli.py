"""What all commands have in common: failures, help, versions, other packages' commands."""

import json
import signal
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import grpc
import pytest
from click.testing import CliRunner

from client.command import RANKSERVE, refuse, run
from client.scripted_server import ScriptedServer, echo
from rankserve.v1 import ranking_pb2
from rankserve_client.cli import commands, group
from rankserve_client.version import __version__

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))


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
        ("models extra", "No such command 'extra'"),
        ("models --json promote 3", "Give --json after promote."),
        ("models promote 0", "VERSION"),
        ("models alias stable", "Give either VERSION or --delete."),
        ("models canary 3", "Give either VERSION and --percent, or --end."),
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
    # Far more than the 64 KiB that a pipe holds.
    server.answer = lambda _: echo(ranking_pb2.RankRequest(user_id=1, candidate_ids=range(2_500), include_titles=True))
    command = f"{RANKSERVE} rank --user 42 --top-k 2500 --server {server.target} --json | head -c 10"
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
    def _entry_point(name: str, failure: BaseException) -> SimpleNamespace:
        def fail() -> None:
            raise failure

        module = f"rankserve_{'training' if name == 'train' else 'elsewhere'}.cli"
        command = click.Command(name, callback=fail)
        return SimpleNamespace(name=name, module=module, value=f"{module}:{name}", load=lambda: command)


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
