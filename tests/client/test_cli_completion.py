"""Completion in real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from client.command import RANKSERVE, run
from integration.command_forks import write_forked_rankserve

# What takes its time to import, and nothing that completes needs.
HEAVY = {"jax", "keras", "numpy", "tensorflow", "matplotlib"}
_ASK = """
source <(rankserve completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }   # bash has it only where somebody types
"$(complete -p rankserve | sed 's/.*-F \\([^ ]*\\).*/\\1/')" rankserve
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A working directory with a models directory that holds more than models."""
    for name in ("models/shop/1", "models/shop/2", "models/shop/10", "models/movielens/7", "models/.hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "models" / "shop" / "serving.json").touch()
    return tmp_path


@pytest.fixture
def forked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where there is a `rankserve` that is forked."""
    directory = tmp_path_factory.mktemp("programs")
    write_forked_rankserve(directory)
    return directory


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rankserve ev", ["evaluate"]),
        ("rankserve models pro", ["promote"]),
        ("rankserve serve --transp", ["--transport"]),
        ("rankserve serve --transport ", ["auto", "aio", "direct"]),
        ("rankserve rank --print", ["--print-config"]),
        ("rankserve rank --model ", ["movielens", "shop"]),
        ("rankserve rank --model shop --version 1", ["10", "1"]),
        ("rankserve models promote ", ["10", "7", "2", "1"]),
        ("rankserve serve --default-model s", ["shop"]),
        ("rankserve completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_offers(shop: Path, forked: Path, line: str, offered: list[str]) -> None:
    asked = subprocess.run(
        ["bash", "-c", _ASK, *line.split(" ")[:1], *line.split(" ")],
        cwd=shop,
        env=os.environ | {"PATH": f"{forked}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (asked.stdout.split(), asked.stderr) == (offered, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_take_the_script(tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(run("completion", shell).stdout)
    assert f"_RANKSERVE_COMPLETE={shell}_complete" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} to read it")
    subprocess.run([shell, "-n", str(script)], check=True, timeout=60)


@pytest.mark.parametrize("line", ["rankserve ", "rankserve serve --transp", "rankserve train --pre"])
def test_nothing_heavy_is_imported(line: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", RANKSERVE],
        env=os.environ | words | {"_RANKSERVE_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.stdout
    imported = {entry.rpartition("|")[2].strip().partition(".")[0] for entry in asked.stderr.splitlines()}
    assert "click" in imported
    assert not imported & HEAVY
    if line == "rankserve ":
        assert not imported & {"rankserve_server", "rankserve_training"}
