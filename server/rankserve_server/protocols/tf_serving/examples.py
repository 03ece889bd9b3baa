"""The examples of Regress and Classify: the context is the user, the examples are his candidates."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from rankserve_server.errors import InvalidRequestError
from rankserve_server.protocols.id_tensors import ITEM, USER, wrong
from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.told import Ids

# By name. To look one up that is not there adds it.
_Features: TypeAlias = Mapping[str, tf.Feature]


def users_and_items(request: pb.Input, most: int) -> tuple[Ids, Ids]:
    """The pairs of a request, of which there may be `most`.

    Returns:
        int64[n] or, where the context has the user, int64[1]; and int64[n].

    Raises:
        InvalidRequestError: where they are not there, or there twice.
    """
    with_context = request.WhichOneof("kind") == "example_list_with_context"
    listed = request.example_list_with_context if with_context else request.example_list
    if len(listed.examples) > most:
        raise wrong("input.examples", f"at most {most} are accepted, got {len(listed.examples)}")
    # Once for all: protobuf makes an object of each.
    examples = [example.features.feature for example in listed.examples]
    items = _ids(examples, ITEM)
    context = request.example_list_with_context.context.features.feature
    if not with_context or USER not in context:
        return _ids(examples, USER), items
    _check_only_in_context(examples)
    user = _id(context, USER)
    if user is None:
        raise _no_id(context, USER, "context")
    return np.array([user], np.int64), items


def _check_only_in_context(examples: Sequence[_Features]) -> None:
    for place, features in enumerate(examples):
        if USER in features:
            raise wrong(f"examples[{place}].{USER}", "is in the context too; it should be in one of the two")


def _ids(examples: Sequence[_Features], name: str) -> Ids:
    ids = [_id(features, name) for features in examples]
    if None in ids:
        place = ids.index(None)
        raise _no_id(examples[place], name, f"examples[{place}]")
    return np.array(ids, np.int64)


def _id(features: _Features, name: str) -> int | None:
    """The one value of a feature; None where it is anything else. What that is costs time only where it is."""
    if name not in features:
        return None
    values = features[name].int64_list.value
    return values[0] if len(values) == 1 else None


def _no_id(features: _Features, name: str, where: str) -> InvalidRequestError:
    if name not in features:
        problem = "it is missing"
    elif (kind := features[name].WhichOneof("kind")) == "int64_list":
        problem = f"got {len(features[name].int64_list.value)}"
    else:
        problem = f"got {kind or 'nothing'}"
    return wrong(f"{where}.{name}", f"should be a feature with one value in `int64_list`; {problem}")
