"""What a shell is offered for the models of options: those in the models directory, as no server is asked for it."""

import os
from pathlib import Path

import click


def model_names(context: click.Context, _: click.Parameter, begin: str) -> list[str]:
    """Names of models."""
    return _directories(_models_dir(context), begin)


def model_versions(context: click.Context, _: click.Parameter, begin: str) -> list[str]:
    """Versions of the model that the command line names, or of all, the newest first."""
    name = context.params.get("model") or context.params.get("name")
    models_dir = _models_dir(context)
    names = [name] if name else _directories(models_dir, "")
    found = {version for each in names for version in _directories(models_dir / each, begin) if version.isdecimal()}
    return sorted(found, key=int, reverse=True)


def _models_dir(context: click.Context) -> Path:
    given = context.params.get("models_dir") or os.environ.get("RANKSERVE_SERVE_MODELS_DIR")
    return Path(given or "models")


def _directories(parent: Path, begin: str) -> list[str]:
    try:
        return sorted(path.name for path in parent.iterdir() if path.name.startswith(begin) and _counts(path))
    except OSError:
        return []


def _counts(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".")
