"""What `rankserve doctor` finds of models on disk, in a process that imports neither Keras nor JAX."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from client.command import RANKSERVE
from integration.tower_versions import lose_a_file, truncate
from server.two_towers import publish_towers, random_towers


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Its run over a good version with a damaged older one, and a version that lacks a file."""
    models_dir = tmp_path_factory.mktemp("doctor")
    towers = random_towers()
    truncate(publish_towers(models_dir, towers, "good").directory)
    publish_towers(models_dir, towers, "good")
    lose_a_file(publish_towers(models_dir, towers, "holed").directory)
    arguments = [RANKSERVE, "doctor", "--json", "--models-dir", str(models_dir)]
    return subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, timeout=200, check=False
    )


@pytest.fixture(scope="module")
def found(doctor: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(doctor.stdout)["findings"]}


def test_the_newest_version_is_loaded(found: dict[str, dict[str, Any]]) -> None:
    assert (found["good/2"]["status"], found["good/2"]["advice"]) == ("ok", "")
    assert "loads" in found["good/2"]["found"]


def test_a_damaged_older_version_is_told_of(found: dict[str, dict[str, Any]]) -> None:
    assert found["good/1"]["status"] == "warn"
    assert "model.keras has 1000 bytes" in found["good/1"]["found"]


def test_a_version_that_may_not_serve_fails(
    doctor: "subprocess.CompletedProcess[str]", found: dict[str, dict[str, Any]]
) -> None:
    assert doctor.returncode == 1
    assert found["holed/1"]["status"] == "fail"
    assert "catalog.npz" in found["holed/1"]["found"]
    assert "rankserve models verify" in found["holed/1"]["advice"]


def test_the_doctor_itself_imports_nothing_heavy(doctor: "subprocess.CompletedProcess[str]") -> None:
    entries = (line.rpartition("|")[2].strip() for line in doctor.stderr.splitlines())
    imported = {entry.partition(".")[0] for entry in entries}
    assert "click" in imported
    assert not imported & {"jax", "keras", "tensorflow"}


def test_the_program_cache_is_only_looked_at(tmp_path: Path) -> None:
    shared = tmp_path / "programs"
    shared.mkdir()
    shared.chmod(0o777)
    process = subprocess.run(
        [RANKSERVE, "doctor", "--json"],
        env={"PATH": "/usr/bin:/bin", "RANKSERVE_SERVE_PROGRAM_CACHE": str(shared)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    cache = next(each for each in json.loads(process.stdout)["findings"] if each["check"] == "program cache")
    assert (cache["status"], cache["advice"]) == ("warn", f"chmod go-w {shared}")
    assert not list(shared.iterdir())
