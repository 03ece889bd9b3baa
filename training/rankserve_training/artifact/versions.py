"""Which models and versions a directory holds, by the names of its folders alone."""

import re
from pathlib import Path

from rankserve_training.artifact.errors import ArtifactError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def check_name(name: str) -> None:
    """Refuses a name that cannot be a model's: it becomes a folder, an argument and a label.

    Raises:
        ArtifactError: saying which names can.
    """
    if not _NAME.fullmatch(name):
        raise ArtifactError(
            f"{name!r} is not a model name: use 1 to 128 letters, digits, '-', '_' and '.', starting with a letter "
            "or digit"
        )


def is_name(text: str) -> bool:
    """Whether a model can be called so."""
    return bool(_NAME.fullmatch(text))


def is_version(text: str) -> bool:
    """Whether this is the number of a version, as its folder is called."""
    return bool(_VERSION.fullmatch(text))


def list_names(models_dir: Path) -> list[str]:
    """The models that have at least one version, sorted. Empty where the directory does not exist."""
    if not models_dir.is_dir():
        return []
    return sorted(path.name for path in models_dir.iterdir() if _NAME.fullmatch(path.name) and list_versions(path))


def list_versions(model_dir: Path) -> list[int]:
    """The version numbers below MODELS_DIR/NAME, ascending. Anything else that lies there is passed over."""
    if not model_dir.is_dir():
        return []
    return sorted(int(path.name) for path in model_dir.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir())


def resolve_version(path: Path) -> Path:
    """The directory of one version, from MODELS_DIR/NAME/VERSION or from MODELS_DIR/NAME (then the newest).

    Raises:
        ArtifactError: where there is no such directory or no version in it.
    """
    if not path.is_dir():
        raise ArtifactError(f"{path} is not a directory; give MODELS_DIR/NAME or MODELS_DIR/NAME/VERSION")
    versions = list_versions(path)
    if versions:
        return path.resolve() / str(versions[-1])
    if _VERSION.fullmatch(path.resolve().name):
        return path.resolve()
    raise ArtifactError(f"{path} holds no version; publish one with: rankserve train --models-dir {path.parent}")
