"""The wheel as a client's team gets it: built, installed without extras into an empty environment. Needs the package
index, for hatchling and the client's dependencies."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from checks.repository import COMMANDS, ROOT, WHEEL_PACKAGES

PACKAGES = {Path(package).name for package in WHEEL_PACKAGES}
HEAVY = {"jax", "jaxlib", "keras", "numpy", "tensorflow", "tensorflow-datasets"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True, timeout=280)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the wheel and its base dependencies, nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment)
    # The outer pip installs into it: that saves bootstrapping another one.
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input", str(wheel)]
    subprocess.run(install, check=True, timeout=280)
    return python.parent


def test_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    metadata = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES, metadata}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert f"{metadata}/licenses/LICENSE" in names
    assert not [name for name in names if re.search(r"(^|/)(tests?/|test_|conftest)|\.(pyc|keras)$", name)]


def test_holds_every_source_file(wheel: Path) -> None:
    sources = {
        path.relative_to((ROOT / package).parent).as_posix()
        for package in WHEEL_PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", ".pyi", ".proto", ".html", ".css", ".js", ".svg"}
    }
    assert sources <= set(zipfile.ZipFile(wheel).namelist())


def test_the_base_installation_is_thin(scripts: Path) -> None:
    listing = _run(
        scripts, "python", "-c", "import importlib.metadata as m; [print(d.name) for d in m.distributions()]"
    )
    installed = {name.lower().replace("_", "-") for name in listing.stdout.split()}
    assert {"rankserve", "grpcio", "protobuf"} <= installed
    assert not installed & HEAVY


def test_the_client_and_the_stubs_import(scripts: Path, tmp_path: Path) -> None:
    code = (
        "import rankserve_client, rankserve.v1.ranking_pb2_grpc, rankserve.v1.models_pb2_grpc as m; print(m.__file__)"
    )
    process = _run(scripts, "python", "-c", code, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert process.stdout.startswith(str(scripts.parent))  # and not the checkout


def test_the_command_lists_its_subcommands(scripts: Path, tmp_path: Path) -> None:
    process = _run(scripts, "rankserve", "--help", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert set(COMMANDS) <= set(process.stdout.split())


@pytest.mark.parametrize(
    ("command", "extra"),
    [("serve", "server"), ("gateway", "gateway"), ("train", "training"), ("evaluate", "training")],
)
def test_a_command_without_its_extra_says_what_to_install(
    scripts: Path, tmp_path: Path, command: str, extra: str
) -> None:
    # `evaluate` has a required option; what is missing must be said all the same.
    arguments = ["--model", "models/movielens"] if command == "evaluate" else []
    process = _run(scripts, "rankserve", command, *arguments, cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    assert f"rankserve[{extra}]" in process.stderr
    assert len(process.stderr.splitlines()) == 1


def _run(scripts: Path, name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # Without the caller's PYTHONPATH and with nobody's terminal width.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(scripts / name), *arguments],
        cwd=cwd,
        env=environment | {"COLUMNS": "120", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
