"""Versions of the same two towers, some of them with something wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from server.two_towers import Published


def add(models: Path, template: Published, version: int, change: Callable[[Path], None] = lambda _: None) -> Path:
    """Another version of the same, perhaps with something wrong with it, which becomes visible in one step."""
    hidden = models / "towers" / f".{version}"
    shutil.copytree(template.directory, hidden)
    edit_manifest(hidden, version=version)
    change(hidden)
    return hidden.rename(models / "towers" / str(version))


def edit_manifest(directory: Path, **changes: object) -> None:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    (directory / "manifest.json").write_text(json.dumps(manifest | changes), encoding="utf-8")


def truncate(directory: Path) -> None:
    with (directory / "model.keras").open("r+b") as file:
        file.truncate(1_000)


def promise_other_scores(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["golden_requests"][0]["scores"][0] += 0.01
    edit_manifest(directory, golden_requests=manifest["golden_requests"])


def lose_a_file(directory: Path) -> None:
    (directory / "catalog.npz").unlink()
