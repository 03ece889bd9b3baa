"""Loading a `.keras` file that somebody else may have written."""

import json
import zipfile
from pathlib import Path
from typing import Any

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.model.backend import keras

# Every class that a published model is made of. Keras is not asked to build anything else, so a class of its own that
# reads files or runs code when it is built cannot be reached through a model file.
_ALLOWED_CLASSES = {
    "Activation",
    "Add",
    "Concatenate",
    "Constant",
    "Dense",
    "DTypePolicy",
    "Dot",
    "Embedding",
    "Functional",
    "GlorotUniform",
    "InputLayer",
    "RandomUniform",
    "ReLU",
    "Rescaling",
    "Zeros",
}
_LARGEST_CONFIG = 16 * 1024 * 1024


def load_ranking_model(path: Path, user_count: int, item_count: int) -> keras.Model:
    """Loads a ranking model in Keras' safe mode, after a look at the classes that it names.

    Args:
        path: a `.keras` file whose hash has been verified.
        user_count: how many users its table should know.
        item_count: how many items its table should know.

    Raises:
        ArtifactError: where the file is not a Keras model, names a class that is not allowed, or its tables have
            other sizes.
    """
    model = _load(path)
    for name, count in (("user", user_count), ("item", item_count)):
        _check_table(path, model, name, count + 1, f"{count} {name}s need {count + 1}")
    return model


def load_newcomers_model(path: Path, user_rows: int, item_rows: int) -> keras.Model:
    """The same for a model of newcomers, whose tables should have so many rows."""
    model = _load(path)
    for name, rows in (("user", user_rows), ("item", item_rows)):
        _check_table(path, model, name, rows, f"its description needs {rows}")
    return model


def _load(path: Path) -> keras.Model:
    _check_classes(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever its layers raise, often with many lines
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} cannot be loaded as a Keras model: {reason}") from error


def _check_classes(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo("config.json")
            if info.file_size > _LARGEST_CONFIG:
                raise ArtifactError(
                    f"{path}: its config.json has {info.file_size} bytes; {_LARGEST_CONFIG} are allowed"
                )
            names = _class_names(json.loads(archive.read(info)))
    except ArtifactError:
        raise
    except Exception as error:  # zipfile, zlib and json raise whatever a damaged file leads them to
        raise ArtifactError(f"{path} is not a Keras model file: {error}") from error
    forbidden = sorted(names - _ALLOWED_CLASSES)
    if forbidden:
        raise ArtifactError(f"{path} is made of classes that are not allowed: {', '.join(forbidden)}")


def _class_names(config: Any) -> set[str]:
    """Every `class_name` at any depth; one outside of Keras' own modules is named with its module."""
    if isinstance(config, list):
        return set().union(*map(_class_names, config))
    if not isinstance(config, dict):
        return set()
    names = set().union(*map(_class_names, config.values()))
    # A tensor that one layer hands to the next; not something that Keras builds.
    if "class_name" in config and config["class_name"] != "__keras_tensor__":
        module = str(config.get("module", ""))
        own = module == "keras" or module.startswith("keras.")
        names.add(str(config["class_name"]) if own else f"{module}.{config['class_name']}")
    return names


def _check_table(path: Path, model: keras.Model, name: str, expected: int, words: str) -> None:
    try:
        rows = model.get_layer(f"{name}_embedding").input_dim
    except (AttributeError, ValueError) as error:
        raise ArtifactError(f"{path} has no embedding layer named '{name}_embedding'") from error
    if rows != expected:
        raise ArtifactError(f"{path}: its {name} table has {rows} rows, but {words}")
