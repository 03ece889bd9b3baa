"""Copies of a published version, whole or broken."""

import json
import shutil
from pathlib import Path


def copy_version(source: Path, models_dir: Path, name: str, version: int) -> Path:
    """Publishes a copy of MODELS_DIR/NAME/VERSION under another name and number."""
    target = models_dir / name / str(version)
    shutil.copytree(source, target)
    manifest = json.loads((target / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"name": name, "version": version}
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return target


def cut_short(version: Path) -> None:
    """Breaks a version as a full disk would."""
    model = version / "model.keras"
    model.write_bytes(model.read_bytes()[:-1])
