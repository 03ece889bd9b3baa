"""Bars and spinners are shown on terminals only."""

import os
import pty

import pytest
from rich.console import Console

from rankserve_training.moving import moves


@pytest.mark.parametrize(
    ("environment", "shown"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, True)]
)
def test_on_a_terminal(environment: dict[str, str], shown: bool) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        console = Console(file=terminal, _environ={"TERM": "xterm"} | environment)
        assert moves(console) == shown
    os.close(ours)


def test_not_in_a_pipe_though_colours_are_forced() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as pipe:
        console = Console(file=pipe, _environ={"TERM": "xterm", "FORCE_COLOR": "1"})
        assert console.is_terminal
        assert not moves(console)
    os.close(reading)
