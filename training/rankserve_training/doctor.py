"""What `rankserve doctor` looks at for training: where it reads MovieLens from, and where it would publish."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# What training imports that nothing else brings.
_LIBRARIES = ("tensorflow", "tensorflow_datasets", "matplotlib")


def findings(
    settings: Mapping[str, Any],
    given: frozenset[str],  # noqa: ARG001  # `doctor` gives it to every package
    announce: Callable[[str], None],  # noqa: ARG001  # `doctor` gives it to every package
) -> Iterator[dict[str, str]]:
    """Looks without importing TensorFlow.

    Args:
        settings: those of `rankserve serve`, whose models directory is where versions are published.
        given: the names of those that are not defaults.
        announce: is told what takes its time.

    Yields:
        `check`, `status` (ok, warn, fail or skip), `found` and `advice`.

    Raises:
        ModuleNotFoundError: the libraries of training are not installed.
    """
    for library in _LIBRARIES:
        if importlib.util.find_spec(library) is None:
            raise ModuleNotFoundError(name=library)
    yield _publishing(settings["models_dir"])
    yield _movielens()


def _publishing(models_dir: Path | str) -> dict[str, str]:
    if isinstance(models_dir, str):
        found = f"whether {models_dir} can be written is seen when something is published"
        return {"check": "publishing", "status": "skip", "found": found}
    there = next(path for path in (models_dir.absolute(), *models_dir.absolute().parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        return {"check": "publishing", "status": "ok", "found": f"versions can be published in {models_dir}"}
    found = f"{there} cannot be written, so that nothing is published in {models_dir}"
    return {"check": "publishing", "status": "warn", "found": found, "advice": "train as another user: --models-dir"}


def _movielens() -> dict[str, str]:
    directory = Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")
    if (directory / "movielens").is_dir():
        return {"check": "MovieLens", "status": "ok", "found": f"prepared in {directory}"}
    found = f"not yet in {directory}; the first rankserve train fetches it"
    return {"check": "MovieLens", "status": "skip", "found": found, "advice": "ratings of your own need none of it"}
