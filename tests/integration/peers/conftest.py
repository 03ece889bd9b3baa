"""Client libraries of others: each unmodified and in an environment of its own, which `make peers` sets up."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[2] / "build" / "clients"
RunProgram: TypeAlias = Callable[..., dict[str, Any]]
_SECONDS = 120


@pytest.fixture
def run_program() -> RunProgram:
    """Runs a program of `programs/` in the environment of a library; gives what it has printed."""

    def run(name: str, library: str, *arguments: str) -> dict[str, Any]:
        return _answers([str(_environment(library) / "bin" / "python"), _path(name), *arguments], "")

    return run


@pytest.fixture
def run_in_one_process() -> RunProgram:
    """Runs it with our own packages, imported `first` or `last`."""

    def run(name: str, library: str, address: str, ours: str) -> dict[str, Any]:
        (libraries,) = _environment(library).glob("lib/python3*/site-packages")
        command = [sys.executable, str(HERE / "one_process.py"), address, _path(name), ours, str(libraries)]
        return _answers(command, os.environ.get("PYTHONPATH", ""))

    return run


@pytest.fixture
def own_models(models_dir: Path, tmp_path: Path) -> Path:
    """A copy for a test whose server writes there what is wanted of models."""
    return Path(shutil.copytree(models_dir, tmp_path / "models"))


def _environment(library: str) -> Path:
    directory = ENVIRONMENTS / library
    assert (directory / "bin" / "python").exists(), f"{directory} is not there: `make peers` sets it up"
    return directory


def _path(name: str) -> str:
    return str(HERE / "programs" / f"{name}.py")


def _answers(command: list[str], python_path: str) -> dict[str, Any]:
    path = os.pathsep.join(filter(None, (python_path, str(HERE.parents[1]))))
    process = subprocess.run(
        command,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answers: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return answers
