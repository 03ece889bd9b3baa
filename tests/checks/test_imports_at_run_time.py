"""What really gets imported, which the sources alone do not show: by way of other packages, for one."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from checks.dependency_rule import modules
from checks.repository import COMMANDS, ROOT

HEAVY = {"jax", "keras", "numpy", "tensorflow", "tensorflow_datasets"}
# For the gateway alone.
HTTP = {"msgspec", "starlette", "uvicorn"}
RANKSERVE = str(Path(sys.executable).with_name("rankserve"))


def test_sees_what_is_imported() -> None:
    assert {"json", "numpy"} <= _imported_by("-c", "import json\ndef f(): import numpy\nf()")
    assert "numpy" not in _imported_by("-c", "import json")


def test_the_client_is_thin() -> None:
    imported = _imported_by_modules(*modules(ROOT / "client"))
    assert "grpc" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["rank", "--help"], ["models", "--help"]], ids=" ".join)
def test_the_clients_commands_are_thin(arguments: list[str]) -> None:
    assert not _imported_by(RANKSERVE, *arguments) & (HEAVY | HTTP)


def test_a_ranking_call_is_thin() -> None:
    # Nothing listens on port 1: the call goes as far as the network and fails.
    imported = _imported_by(RANKSERVE, "rank", "--server", "127.0.0.1:1", "--user", "42", "204", exit_code=1)
    assert "grpc" in imported
    assert not imported & (HEAVY | HTTP)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_nothing_heavy_before_it_runs(command: str) -> None:
    assert not _imported_by_modules(COMMANDS[command].partition(":")[0]) & HEAVY


def test_the_server_goes_without_tensorflow() -> None:
    of_training = ("rankserve_training.artifact", "rankserve_training.model")
    imported = _imported_by_modules(
        *modules(ROOT / "server"),
        *(name for name in modules(ROOT / "training") if name.startswith(of_training)),
    )
    assert {"grpc", "keras"} <= imported
    assert not imported & {"tensorflow", "tensorflow_datasets"}


def _imported_by_modules(*names: str) -> set[str]:
    return _imported_by("-c", "\n".join(f"import {name}" for name in names if not name.endswith(".__main__")))


def _imported_by(*command: str, exit_code: int = 0) -> set[str]:
    """The top-level names that a fresh interpreter imports, or tries to."""
    process = subprocess.run(
        [sys.executable, "-X", "importtime", *command], capture_output=True, text=True, timeout=120, check=False
    )
    # Each import's line ends in its indented name: "import time:   110 |   220 |   google.protobuf".
    name_at_end = re.compile(r"^import time:.*\| +(\w+).*\n?", flags=re.MULTILINE)
    messages = name_at_end.sub("", process.stderr)
    assert process.returncode == exit_code, process.stdout + messages
    assert "Traceback" not in messages, messages
    return set(name_at_end.findall(process.stderr))
