"""The tensors of Predict: ids in, scores out."""

from collections.abc import Mapping, Sequence

import numpy as np

from rankserve_server.engine.engine import Scores
from rankserve_server.protocols.id_tensors import ITEM, USER, IdTensor, check_names, shown, size_of, wrong
from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.told import Ids

_DTYPES: dict[int, np.dtype[np.signedinteger]] = {tf.DT_INT32: np.dtype("<i4"), tf.DT_INT64: np.dtype("<i8")}
_VALUES: dict[int, str] = {tf.DT_INT32: "int_val", tf.DT_INT64: "int64_val"}


def users_and_items(inputs: Mapping[str, tf.TensorProto], most: int) -> tuple[IdTensor, IdTensor]:
    """The two inputs of a request; none of them may have more than `most` elements.

    Raises:
        InvalidRequestError: where they are not two tensors of ids.
    """
    check_names(list(inputs))
    return _decoded(USER, inputs[USER], most), _decoded(ITEM, inputs[ITEM], most)


def scores_tensor(scores: Scores, shape: Sequence[int]) -> tf.TensorProto:
    """The output. Clients read `float_val`, as TF Serving sends it unless it is told otherwise."""
    return tf.TensorProto(dtype=tf.DT_FLOAT, tensor_shape=shape_of(shape), float_val=scores.tolist())


def shape_of(dimensions: Sequence[int]) -> tf.TensorShapeProto:
    """A shape as a message; -1 for any size."""
    return tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in dimensions])


def _decoded(name: str, tensor: tf.TensorProto, most: int) -> IdTensor:
    if tensor.dtype not in _DTYPES:
        raise wrong(name, f"its dtype should be DT_INT32 or DT_INT64, got {_name_of(tensor.dtype)}")
    if tensor.tensor_shape.unknown_rank:
        raise wrong(name, "its shape should be known")
    shape = tuple(dimension.size for dimension in tensor.tensor_shape.dim)
    size = size_of(name, shape)
    if size > most:
        raise wrong(name, f"at most {most} elements are accepted, got {size}")
    ids = _content(name, tensor) if tensor.tensor_content else _values(tensor, size)
    if len(ids) != size:
        raise wrong(
            name,
            f"its shape {shown(shape)} should have as many elements as were sent in `tensor_content` or "
            f"`{_VALUES[tensor.dtype]}`: {len(ids)}",
        )
    return IdTensor(ids, shape)


def _content(name: str, tensor: tf.TensorProto) -> Ids:
    content, width = tensor.tensor_content, _DTYPES[tensor.dtype].itemsize
    if len(content) % width:
        raise wrong(name, f"its `tensor_content` should be {width} bytes for each element, got {len(content)} bytes")
    return np.frombuffer(content, _DTYPES[tensor.dtype]).astype(np.int64)


def _values(tensor: tf.TensorProto, size: int) -> Ids:
    """One value stands for all, as in TensorFlow."""
    ids = np.array(getattr(tensor, _VALUES[tensor.dtype]), np.int64)
    return ids.repeat(size) if len(ids) == 1 else ids


def _name_of(dtype: int) -> str:
    return tf.DataType.Name(tf.DataType.ValueType(dtype)) if dtype in tf.DataType.values() else f"dtype {dtype}"
