"""What can be held of the image without building it; the real server runs with its commands."""

import json
import re
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from checks.repository import PYPROJECT, ROOT
from checks.test_lock import entries
from deploy.manifests import DEPLOY, options_of, server_container
from integration.command_forks import run_forked
from integration.server_process import running_server
from server.two_towers import Published

CONTAINER: Final = DEPLOY / "container"
TEXT: Final = (CONTAINER / "Containerfile").read_text(encoding="utf-8")
EXTRAS: Final = ("server", "tracing")
# Only training needs them.
LEFT_OUT: Final = ("tensorflow", "tensorflow-datasets", "matplotlib", "pytest")


def instructions(name: str) -> list[str]:
    """What follows an instruction, each time that it is there."""
    return re.findall(rf"(?m)^{name} (.+)$", TEXT)


def last(name: str) -> list[str]:
    """The words of an instruction in its exec form, where it is there last."""
    words: list[str] = json.loads(instructions(name)[-1].partition("CMD ")[2] or instructions(name)[-1])
    return words


def test_every_base_is_one_exact_release() -> None:
    for base in instructions("FROM"):
        assert re.fullmatch(
            r"docker\.io/library/python:\d+\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?( AS build)?", base
        )
    assert len({base.partition(" ")[0] for base in instructions("FROM")}) == 1, (
        "built with another Python than it runs on"
    )


def test_no_shell_runs() -> None:
    for name in ("RUN", "ENTRYPOINT"):
        for text in instructions(name):
            assert isinstance(json.loads(text), list)


def test_what_it_copies_is_there_and_is_sent() -> None:
    ignored = (CONTAINER / "Containerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [words.split()[:-1] for words in instructions("COPY") if not words.startswith("--from")]
    for source in (source for sources in copied for source in sources):
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in sent), f"{source} is ignored"
    needed = {
        package.partition("/")[0] for package in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    }
    assert needed <= {source for sources in copied for source in sources}


def test_it_runs_as_nobody_in_particular() -> None:
    (user,) = instructions("USER")
    ids = [int(number) for number in user.split(":")]
    assert all(number >= 10_000 for number in ids)
    pod = server_container("kubernetes")
    assert pod["securityContext"]["readOnlyRootFilesystem"]
    assert f"runAsUser: {ids[0]}\n" in (DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text(encoding="utf-8")


def test_its_lock_is_a_part_of_the_lock() -> None:
    whole = entries((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    for name in ("requirements.lock", "build.lock"):
        locked = entries((CONTAINER / name).read_text(encoding="utf-8"))
        assert locked
        for package, (version, rest) in locked.items():
            assert whole[package][0] == version, f"{package}: run `make lock`"
            assert "--hash=sha256:" in rest


def test_its_lock_has_what_a_server_needs_and_no_more() -> None:
    locked = entries((CONTAINER / "requirements.lock").read_text(encoding="utf-8"))
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
    assert {canonicalize_name(Requirement(line).name) for line in asked} <= locked.keys()
    assert not locked.keys() & set(LEFT_OUT)


def test_the_server_takes_its_command() -> None:
    assert last("ENTRYPOINT") == ["rankserve"]
    printed = run_forked(*last("CMD"), "--print-config")
    assert printed.returncode == 0, printed.stderr
    assert options_of(server_container("kubernetes"))["program-cache"] in last("CMD")


def test_a_real_server_passes_its_health_check_and_none_fails_it(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, *arguments = last("HEALTHCHECK")
    assert program == "rankserve"
    with running_server(published.models_dir, tmp_path / "errors") as server:
        monkeypatch.setenv("RANKSERVE_SERVER", server.address)
        assert run_forked(*arguments).returncode == 0
    assert run_forked(*arguments).returncode == 1
