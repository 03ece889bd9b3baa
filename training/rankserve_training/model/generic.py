"""A ranking model of whatever form: someone's own Keras model as it is published, and as JAX computes it.

It has the inputs and the output of every published model (see this package), float32 weights, and tables of as many
rows as there are users or items and one more; between these it may be anything that is made of `keras_classes`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.model.backend import keras

ARCHITECTURE = "keras"

# The model's variables that are trained, and those that are not.
Variables: TypeAlias = tuple[list[Any], list[Any]]
Score: TypeAlias = Callable[[Variables, Any, Any], Any]

_INPUTS = dict.fromkeys(("user", "item"), ((None,), "int32"))


def check_ranking_model(path: Path, user_count: int, item_count: int, model: keras.Model) -> None:
    """Makes sure that a model is a ranking model for so many users and items; `path` is for the message.

    Raises:
        ArtifactError: saying what it is instead.
    """
    inputs = model.input if isinstance(model.input, dict) else {}
    if {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in inputs.items()} != _INPUTS:
        raise ArtifactError(f"{path}: its inputs should be 'user' and 'item', int32[n] each")
    if len(model.outputs) != 1 or tuple(model.outputs[0].shape) != (None, 1) or model.outputs[0].dtype != "float32":
        raise ArtifactError(f"{path}: its output should be float32[n, 1]")
    rows = {user_count + 1, item_count + 1}
    for layer in leaves(model):
        if isinstance(layer, keras.layers.Embedding) and layer.input_dim not in rows:
            raise ArtifactError(
                f"{path}: table {layer.name!r} has {layer.input_dim} rows, but {user_count} users and {item_count} "
                f"items need {user_count + 1} and {item_count + 1}"
            )


def leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers of a model and of the models in it, in the order of the graph."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def variables_of(model: keras.Model) -> Variables:
    """The weights, on JAX's device."""
    trained, others = model.trainable_variables, model.non_trainable_variables
    return [variable.value for variable in trained], [variable.value for variable in others]


def score_function(model: keras.Model) -> Score:
    """From variables, users' and items' rows (int32[n] each) to scores (float32[n]), for JAX to trace."""

    def score(variables: Variables, users: Any, items: Any) -> Any:
        output, _ = model.stateless_call(*variables, {"user": users, "item": items}, training=False)
        return output[:, 0]

    return score
