"""Versions that `rankserve publish` has made, for those who serve them."""

from pathlib import Path

from click.testing import CliRunner

from rankserve_training.cli.publish import publish
from training.own_models import Build, saved, write_catalog


def publish_own(models_dir: Path, name: str, build: Build, *options: str) -> Path:
    """Publishes a model under a name; returns the file that it was published from."""
    path = saved(build(), models_dir.parent / f"{name}.keras")
    arguments = [
        str(path),
        "--name",
        name,
        "--models-dir",
        str(models_dir),
        *write_catalog(models_dir.parent),
        *options,
    ]
    result = CliRunner().invoke(publish, arguments)
    assert result.exit_code == 0, result.output
    return path
