"""A server that cannot start says why in one line and exits with 1; a wrong option exits with 2."""

import socket
from pathlib import Path

import pytest

from conftest import StartServer
from integration.server_process import Exit, ServerProcess
from integration.versions import copy_version, cut_short


def assert_one_line(ended: Exit, *parts: str) -> None:
    assert (ended.code, ended.output) == (1, "")
    lines = [line for line in ended.errors.splitlines() if " ERROR " not in line and " WARNING " not in line]
    assert len(lines) == 1, ended.errors
    assert lines[0].startswith("Error: ")
    for part in parts:
        assert part in lines[0]


@pytest.mark.parametrize("flags", [("--transport", "aio"), ("--transport", "direct"), ("--workers", "2")], ids=" ".join)
def test_a_port_that_is_taken(start_server: StartServer, flags: tuple[str, ...], server: ServerProcess) -> None:
    _, _, port = server.address.rpartition(":")
    ended = start_server(*flags, port=int(port)).wait()
    assert_one_line(ended, f"cannot listen on 127.0.0.1:{port}", "Choose another with --port")


def test_a_port_that_another_program_has(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert_one_line(start_server(port=port).wait(), f"cannot listen on 127.0.0.1:{port}")


def test_an_address_that_is_not_of_this_machine(start_server: StartServer) -> None:
    assert_one_line(start_server("--host", "192.0.2.1").wait(), "cannot listen on 192.0.2.1:0", "--host")


@pytest.mark.parametrize("missing", [True, False])
def test_no_models(start_server: StartServer, tmp_path: Path, missing: bool) -> None:
    models = tmp_path / "models"
    if not missing:
        (models / "movielens").mkdir(parents=True)
    assert_one_line(start_server(models=models).wait(), f"{models} holds no model", "rankserve train --models-dir")


def test_only_a_broken_model(start_server: StartServer, models_dir: Path, tmp_path: Path) -> None:
    cut_short(copy_version(models_dir / "movielens" / "1", tmp_path / "models", "movielens", 1))
    ended = start_server(models=tmp_path / "models").wait()
    assert_one_line(ended, "no version of model 'movielens' can be served", "cut short or changed")


def test_a_default_model_that_is_not_there(start_server: StartServer) -> None:
    ended = start_server("--default-model", "other").wait()
    assert_one_line(ended, "the default model 'other' is none of: movielens")


@pytest.mark.parametrize(
    "flags",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--max-candidates", "0"),
        ("--drain-seconds", "-1"),
        ("--max-message-bytes", "100"),
        ("--transport", "pigeon"),
        ("--no-such-flag",),
    ],
    ids=" ".join,
)
def test_a_wrong_option(start_server: StartServer, flags: tuple[str, ...]) -> None:
    ended = start_server(*flags).wait()
    assert (ended.code, ended.output) == (2, "")
    assert "Usage: rankserve serve" in ended.errors
    assert flags[0] in ended.errors
