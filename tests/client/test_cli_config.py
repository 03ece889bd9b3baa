"""Where settings come from: the command line, the environment, a config file, the default."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rankserve_client.cli import main

COMMANDS = ["serve", "rank", "models", "models canary", "models reload", "bench", "train", "evaluate", "doctor"]


def run(arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments.split(), env=environment, prog_name="rankserve")


def printed(arguments: str, **environment: str) -> str:
    result = run(f"{arguments} --print-config", **environment)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def table(text: str, command: str) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads(text)
    for name in command.split():
        content = content[name]
    return content


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "rankserve.toml"


@pytest.mark.parametrize(
    ("given", "value", "origin"),
    [
        ("", 10.0, "default"),
        ("client", 1.0, "{config}, [client]"),
        ("client table", 2.0, "{config}, [rank]"),
        ("client table shared", 3.0, "RANKSERVE_TIMEOUT"),
        ("client table shared own", 4.0, "RANKSERVE_RANK_TIMEOUT"),
        ("client table shared own line", 5.0, "command line"),
    ],
)
def test_what_counts_first(config: Path, given: str, value: float, origin: str) -> None:
    tables = {"client": "[client]\ntimeout = 1\n", "table": "[rank]\ntimeout = 2\n"}
    config.write_text("".join(text for name, text in tables.items() if name in given.split()))
    variables = {"shared": {"RANKSERVE_TIMEOUT": "3"}, "own": {"RANKSERVE_RANK_TIMEOUT": "4"}}
    environment = {"RANKSERVE_CONFIG": str(config)}
    for name, variable in variables.items():
        environment |= variable if name in given.split() else {}
    text = printed("rank --timeout 5" if "line" in given else "rank", **environment)
    assert table(text, "rank")["timeout"] == value
    assert re.search(rf"^timeout = .*  # {re.escape(origin.format(config=config))}$", text, re.MULTILINE), text


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_printed_is_a_config_file_with_the_same_settings(config: Path, command: str) -> None:
    first = printed(command)
    config.write_text(first)
    again = printed(f"{command} --config {config}")
    assert table(again, command) == table(first, command)
    assert not re.search("  # default$", again, re.MULTILINE)


@pytest.mark.parametrize("command", ["serve", "bench", "train"])
def test_every_option_has_its_variable(command: str) -> None:
    defaults = table(printed(command), command)
    variables = {f"RANKSERVE_{command}_{key}".replace("-", "_").upper(): key for key in defaults}
    values = {name: _as_variable(defaults[key]) for name, key in variables.items()}
    text = printed(command, **values)
    assert table(text, command) == defaults
    for name, key in variables.items():
        assert re.search(rf"^{key} = .*# {name}$", text, re.MULTILINE), (name, text)


def _as_variable(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def test_values_are_printed_as_they_were_given(config: Path) -> None:
    config.write_text('[rank]\nhistory = ["5=4.5", "6=1"]\n[bench]\ncandidates = "100:90,2000:10"\n')
    text = printed(f"rank --config {config} --feature name=a\\b")
    assert table(text, "rank")["history"] == ["5=4.5", "6=1"]
    assert table(text, "rank")["feature"] == ["name=a\\b"]
    assert table(printed(f"bench --config {config}"), "bench")["candidates"] == "100:90,2000:10"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[serve]\nprot = 1", "[serve]: there is no setting 'prot'. Did you mean 'port'?"),
        ("[serve]\nmax_queue_ms = 1", "Did you mean 'max-queue-ms'?"),
        ('[serve]\nport = "x"', "[serve] port = 'x': should be a whole number"),
        ("[serve]\nport = 50.5", "[serve] port = 50.5: should be a whole number"),
        ("[serve]\nport = true", "[serve] port = true: should be a whole number"),
        ("[serve]\nport = 70000", "[serve] port = 70000: 70000 is not in the range"),
        ("[serve]\nwatch-seconds = nan", "[serve] watch-seconds = nan: nan is not a number of seconds"),
        ('[serve]\ntransport = "dircet"', "is not one of 'auto', 'aio', 'direct'. Did you mean 'direct'?"),
        ("[serve]\nno-program-cache = 1", "should be true or false"),
        ('[serve]\nhost = ["a"]', "should be text in quotes"),
        ("[serve]\ntrusted-key = [1]", "should be one or more of text in quotes"),
        ("[sevre]\nport = 1", "[sevre] is no command of rankserve. Did you mean 'serve'?"),
        ("port = 1", "port = 1 stands in no table"),
        ("serve = 1", "serve = 1 stands in no table"),
        ("[serve]\nport = x\n", "is not TOML: Invalid value (at line 2"),
        ("[serve]\nconfig = 'x'", "there is no setting 'config'"),
    ],
)
def test_a_wrong_file_is_one_line(config: Path, content: str, words: str) -> None:
    config.write_text(content)
    result = run(f"serve --config {config}")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {config}")
    assert words in line


def test_a_file_that_is_not_there_is_one_line(config: Path) -> None:
    result = run("serve", RANKSERVE_CONFIG=str(config))
    assert (result.exit_code, result.stderr) == (1, f"Error: {config}: No such file or directory\n")


def test_what_only_the_command_can_refuse_is_named_too(config: Path) -> None:
    config.write_text('[rank]\nhistory = ["5"]\n')
    result = run(f"rank --config {config}")
    assert result.exit_code == 2
    assert f"Invalid value for history in {config}, [rank]: '5' is not ITEM=RATING" in result.stderr


def test_a_wrong_variable_is_named() -> None:
    result = run("serve", RANKSERVE_SERVE_TRANSPORT="dircet")
    assert result.exit_code == 2
    assert "Invalid value for the environment variable RANKSERVE_SERVE_TRANSPORT: 'dircet'" in result.stderr
    assert "Did you mean 'direct'?" in result.stderr


def test_a_variable_with_a_typo_is_told() -> None:
    result = run("serve --print-config", RANKSERVE_SERVE_PROT="1", RANKSERVE_SERVE_SERVICE_HOST="10.0.0.1")
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert "RANKSERVE_SERVE_PROT sets nothing" in line
    assert "RANKSERVE_SERVE_PORT" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("predict", "No such command 'predict'. Did you mean 'rankserve rank'?"),
        ("modles", "No such command 'modles'. Did you mean 'models'?"),
        ("models promot 3", "No such command 'promot'. Did you mean 'promote'?"),
        ("rank --usr 3", "--user"),
        ("serve --model-dir x", "--models-dir"),
        ("serve --transport dircet", "Did you mean 'direct'?"),
        ("--server x rank", "The options of a command follow its name: rankserve rank --server"),
    ],
)
def test_what_was_meant_is_suggested(arguments: str, words: str) -> None:
    result = run(arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_strange_word_is_not_guessed_at() -> None:
    assert "Did you mean" not in run("xylophone").stderr
