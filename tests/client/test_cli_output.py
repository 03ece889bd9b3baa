"""Colours, and what is left out: on terminals, in pipes and with --quiet."""

import re
import subprocess

import pytest

from client.command import run
from client.scripted_server import ScriptedServer
from client.terminal import RANKSERVE, run_on_terminal

COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7]|38)[;m]")


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_of_a_terminal(movies: ScriptedServer, environment: dict[str, str], coloured: bool) -> None:
    written = run_on_terminal("rank", "--user", "42", "204", "--server", movies.target, **environment)
    assert "Back to the Future" in written
    assert bool(COLOUR.search(written)) == coloured
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in written


@pytest.mark.parametrize(("environment", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colours_of_a_pipe(movies: ScriptedServer, environment: dict[str, str], coloured: bool) -> None:
    process = run("rank", "--user", "42", "204", "--server", movies.target, **environment)
    assert bool(COLOUR.search(process.stdout)) == coloured
    assert process.stderr == ""


def test_quiet_leaves_the_notes_out(movies: ScriptedServer) -> None:
    arguments = ("rank", "--user", "42", "204", "--server", movies.target)
    loud, quiet = run(*arguments).stdout, run(*arguments, RANKSERVE_QUIET="1").stdout
    assert "unknown to the model" in loud
    assert "unknown to the model" not in quiet
    assert loud.startswith(quiet)
    assert "Back to the Future" in quiet


BENCH = ("bench", "--requests", "5", "--concurrency", "1", "--candidates", "2", "--warm-up", "0", "--items", "1-9")


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_shown_on_a_terminal_but_for_quiet(movies: ScriptedServer, quiet: bool) -> None:
    written = run_on_terminal(*BENCH, "--server", movies.target, *(["--quiet"] if quiet else []))
    assert ("warming up" in written or "measuring" in written) != quiet
    assert "answered" in written  # the result


def test_no_progress_in_a_pipe_even_where_colours_are_forced(movies: ScriptedServer) -> None:
    process = subprocess.run(
        [RANKSERVE, *BENCH, "--server", movies.target],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"FORCE_COLOR": "1", "PATH": "/usr/bin:/bin"},
    )
    assert "warming up" not in process.stdout + process.stderr
    assert "measuring" not in process.stdout + process.stderr
