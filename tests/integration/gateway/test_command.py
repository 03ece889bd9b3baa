"""What `rankserve gateway` says where it cannot start: one line, and an exit code."""

import socket
import subprocess
from pathlib import Path

import pytest

from integration.command_forks import run_forked


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--http-cert", "x.pem"], 2, "--http-cert and --http-key belong together"),
        (["--lend-token"], 2, "give --token-file"),
        (["--server", "two words"], 2, "--server"),
        (["--token-file", "missing", "--lend-token"], 1, "missing: No such file"),
        (["--http-cert", "missing", "--http-key", "missing"], 1, "No such file"),
        (["--host", "192.0.2.1"], 1, "choose others with --host and --port"),
        (["--metrics-port", "0", "--metrics-host", "192.0.2.1"], 1, "choose another address with --metrics-host"),
        (["--host", "no-such-host.invalid"], 1, "cannot listen on no-such-host.invalid"),
    ],
)
def test_says_why_it_cannot_start(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    ended = run(*arguments, cwd=tmp_path)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert len(ended.stderr.splitlines()) == 1 or code == 2
    assert not ended.stdout


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = run("--port", str(port), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_forked("gateway", "--port", "0", *arguments, cwd=cwd)
