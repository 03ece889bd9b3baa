"""Loading a `.keras` file that somebody else may have written."""

import copy
import math
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.model.backend import keras
from rankserve_training.model.generic import ARCHITECTURE, check_ranking_model
from rankserve_training.model.keras_classes import KERAS_CLASSES
from rankserve_training.model.model_file import TRAINED_CLASSES, read_model_file, with_int32_inputs

_Check = Callable[[keras.Model], None]


def load_ranking_model(path: Path, user_count: int, item_count: int, architecture: str = "") -> keras.Model:
    """Loads a ranking model in Keras' safe mode, after a look at the classes and sizes that it names.

    Args:
        path: a `.keras` file whose hash has been verified.
        user_count: how many users its table should know.
        item_count: how many items its table should know.
        architecture: what its manifest calls it; `generic.ARCHITECTURE` may be made of more classes than others.

    Raises:
        ArtifactError: where the file is not a Keras model, names a class that is not allowed, or its tables have
            other sizes.
    """
    if architecture == ARCHITECTURE:
        return load_keras_file(path, partial(check_ranking_model, path, user_count, item_count), KERAS_CLASSES)

    def check(model: keras.Model) -> None:
        for name, count in (("user", user_count), ("item", item_count)):
            _check_table(path, model, name, count + 1, f"{count} {name}s need {count + 1}")

    return load_keras_file(path, check)


def load_newcomers_model(path: Path, user_rows: int, item_rows: int) -> keras.Model:
    """The same for a model of newcomers, whose tables should have so many rows."""

    def check(model: keras.Model) -> None:
        for name, rows in (("user", user_rows), ("item", item_rows)):
            _check_table(path, model, name, rows, f"its description needs {rows}")

    return load_keras_file(path, check)


def load_keras_file(path: Path, check: _Check, allowed: Set[str] = TRAINED_CLASSES) -> keras.Model:
    """Loads any Keras model, and builds nothing but what has been looked at.

    Args:
        path: a `.keras` file.
        check: called with the model before anything is allocated for it; what it raises refuses the file.
        allowed: the names of the classes that the file may name.

    Raises:
        ArtifactError: where the file is not a Keras model, names another class, or declares more than it holds.
    """
    file = read_model_file(path, allowed)
    config = with_int32_inputs(file.config)
    built: list[keras.Model] = []
    try:
        # JAX traces the building, which gives every size, and neither allocates nor compiles anything.
        weights = jax.eval_shape(partial(_build, config, check, built))
        declared = sum(math.prod(weight.shape) * weight.dtype.itemsize for weight in weights)
        if declared > file.weight_bytes:
            raise ArtifactError(
                f"{path} declares weights of {declared:,} bytes, but those in it have {file.weight_bytes:,}"
            )
        (model,) = built
        model.load_weights(path)
        _end_tracing(path, model)
        return model
    except ArtifactError as error:
        raise ArtifactError(str(error)) from None  # without the lines that JAX adds to what is raised within it
    except Exception as error:  # Keras raises whatever its layers raise, often with many lines
        reason = " ".join(str(error).split())
        raise ArtifactError(f"{path} cannot be loaded as a Keras model: {reason}") from error


def _build(config: dict[str, Any], check: _Check, built: list[keras.Model]) -> list[Any]:
    # Keras takes things out of the configuration as it builds.
    model = keras.saving.deserialize_keras_object(copy.deepcopy(config), safe_mode=True)
    check(model)
    built.append(model)
    return [weight.value for weight in model.weights]


def _end_tracing(path: Path, model: keras.Model) -> None:
    """Weights have come from the file. What else there is, such as the state of a dropout's seed, starts with zeros."""
    weights = {id(weight) for weight in model.weights}
    for variable in model.variables:
        if isinstance(variable.value, jax.core.Tracer):
            if id(variable) in weights:
                raise ArtifactError(f"{path} has no values for {variable.path}")
            variable.assign(np.zeros(variable.shape, variable.dtype))


def _check_table(path: Path, model: keras.Model, name: str, expected: int, words: str) -> None:
    try:
        rows = model.get_layer(f"{name}_embedding").input_dim
    except (AttributeError, ValueError) as error:
        raise ArtifactError(f"{path} has no embedding layer named '{name}_embedding'") from error
    if rows != expected:
        raise ArtifactError(f"{path}: its {name} table has {rows} rows, but {words}")
