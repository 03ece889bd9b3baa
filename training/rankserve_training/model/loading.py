"""Loading a `.keras` file that somebody else may have written."""

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.model.backend import keras
from rankserve_training.model.model_file import read_model_file

_Check = Callable[[keras.Model], None]


def load_ranking_model(path: Path, user_count: int, item_count: int) -> keras.Model:
    """Loads a ranking model in Keras' safe mode, after a look at the classes and sizes that it names.

    Args:
        path: a `.keras` file whose hash has been verified.
        user_count: how many users its table should know.
        item_count: how many items its table should know.

    Raises:
        ArtifactError: where the file is not a Keras model, names a class that is not allowed, or its tables have
            other sizes.
    """

    def check(model: keras.Model) -> None:
        for name, count in (("user", user_count), ("item", item_count)):
            _check_table(path, model, name, count + 1, f"{count} {name}s need {count + 1}")

    return _load(path, check)


def load_newcomers_model(path: Path, user_rows: int, item_rows: int) -> keras.Model:
    """The same for a model of newcomers, whose tables should have so many rows."""

    def check(model: keras.Model) -> None:
        for name, rows in (("user", user_rows), ("item", item_rows)):
            _check_table(path, model, name, rows, f"its description needs {rows}")

    return _load(path, check)


def _load(path: Path, check: _Check) -> keras.Model:
    file = read_model_file(path)
    try:
        # JAX traces the building, which gives every size and allocates nothing.
        variables = jax.eval_shape(partial(_build, file.config, check))
        declared = sum(math.prod(variable.shape) * variable.dtype.itemsize for variable in variables)
        if declared > file.weight_bytes:
            raise ArtifactError(
                f"{path} declares weights of {declared:,} bytes, but those in it have {file.weight_bytes:,}"
            )
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ArtifactError as error:
        raise ArtifactError(str(error)) from None  # without the lines that JAX adds to what is raised within it
    except Exception as error:  # Keras raises whatever its layers raise, often with many lines
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} cannot be loaded as a Keras model: {reason}") from error


def _build(config: dict[str, Any], check: _Check) -> list[Any]:
    # Keras takes things out of the configuration as it builds.
    model = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
    check(model)
    return [variable.value for variable in model.variables]


def _check_table(path: Path, model: keras.Model, name: str, expected: int, words: str) -> None:
    try:
        rows = model.get_layer(f"{name}_embedding").input_dim
    except (AttributeError, ValueError) as error:
        raise ArtifactError(f"{path} has no embedding layer named '{name}_embedding'") from error
    if rows != expected:
        raise ArtifactError(f"{path}: its {name} table has {rows} rows, but {words}")
