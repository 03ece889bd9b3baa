"""The examples of Regress and Classify: the context is the user, the examples are his candidates."""

from collections.abc import Sequence

import numpy as np

from rankserve_server.errors import InvalidRequestError
from rankserve_server.protocols.id_tensors import ITEM, USER, wrong
from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.told import Ids


def users_and_items(request: pb.Input, most: int) -> tuple[Ids, Ids]:
    """The pairs of a request, of which there may be `most`.

    Returns:
        int64[n] or, where the context has the user, int64[1]; and int64[n].

    Raises:
        InvalidRequestError: where they are not there, or there twice.
    """
    with_context = request.WhichOneof("kind") == "example_list_with_context"
    examples = request.example_list_with_context.examples if with_context else request.example_list.examples
    if len(examples) > most:
        raise wrong("input.examples", f"at most {most} are accepted, got {len(examples)}")
    items = _ids(examples, ITEM)
    if not with_context:
        return _ids(examples, USER), items
    context = request.example_list_with_context.context
    if USER not in context.features.feature:
        return _ids(examples, USER), items
    _check_only_in_context(examples)
    return np.array([_id(context, USER, "context")], np.int64), items


def _check_only_in_context(examples: Sequence[tf.Example]) -> None:
    for place, example in enumerate(examples):
        if USER in example.features.feature:
            raise wrong(f"examples[{place}].{USER}", "is in the context too; it should be in one of the two")


def _ids(examples: Sequence[tf.Example], name: str) -> Ids:
    return np.array([_id(example, name, f"examples[{place}]") for place, example in enumerate(examples)], np.int64)


def _id(example: tf.Example, name: str, where: str) -> int:
    features = example.features.feature
    if name not in features:  # to look it up would add it
        raise _no_id(where, name, "it is missing")
    feature = features[name]
    kind = feature.WhichOneof("kind")
    if kind != "int64_list":
        raise _no_id(where, name, f"got {kind or 'nothing'}")
    values = feature.int64_list.value
    if len(values) != 1:
        raise _no_id(where, name, f"got {len(values)}")
    return values[0]


def _no_id(where: str, name: str, problem: str) -> InvalidRequestError:
    return wrong(f"{where}.{name}", f"should be a feature with one value in `int64_list`; {problem}")
