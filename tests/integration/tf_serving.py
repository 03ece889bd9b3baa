"""Calls of TF Serving's protocol, made of the server's own messages: no client library is needed."""

from collections.abc import Callable, Iterable
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message_factory import GetMessageClass

from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.protocols.messages import tf_serving_pb2 as pb

Ids = npt.NDArray[Any]  # int32 or int64
_SERVICE_OF = {
    method.name: service for service in pb.DESCRIPTOR.services_by_name.values() for method in service.methods
}
_SECONDS = 10


def method(channel: grpc.Channel | grpc.aio.Channel, name: str) -> Callable[..., Any]:
    """A method of either service, called with a message and what gRPC knows beside it."""
    service = _SERVICE_OF[name]
    response = GetMessageClass(service.methods_by_name[name].output_type)
    call: Any = channel.unary_unary(
        f"/{service.full_name}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    return lambda request, **options: call(request, timeout=_SECONDS, **options)


def tensor(ids: Ids, *, raw: bool = True) -> tf.TensorProto:
    """Ids as a tensor, in `tensor_content` or in the field of their type."""
    narrow = ids.dtype.itemsize == 4
    found = tf.TensorProto(dtype=tf.DT_INT32 if narrow else tf.DT_INT64)
    found.tensor_shape.SetInParent()
    for size in ids.shape:
        found.tensor_shape.dim.add(size=size)
    if raw:
        found.tensor_content = ids.tobytes()
    else:
        (found.int_val if narrow else found.int64_val).extend(ids.ravel().tolist())
    return found


def predict_request(users: Ids, items: Ids, *, raw: bool = True, **spec: Any) -> pb.PredictRequest:
    """A request of Predict; `spec` is of the model."""
    request = pb.PredictRequest(model_spec=pb.ModelSpec(**spec))
    request.inputs["user_id"].CopyFrom(tensor(users, raw=raw))
    request.inputs["item_id"].CopyFrom(tensor(items, raw=raw))
    return request


def scores_of(response: pb.PredictResponse) -> npt.NDArray[np.float32]:
    """The output, as TF Serving's own example reads it."""
    assert list(response.outputs) == ["score"]
    output = response.outputs["score"]
    assert output.dtype == tf.DT_FLOAT
    assert not output.tensor_content
    shape = [dimension.size for dimension in output.tensor_shape.dim]
    return np.array(output.float_val, np.float32).reshape(shape)


def example(**ids: int) -> tf.Example:
    found = tf.Example()
    for name, id_ in ids.items():
        found.features.feature[name].int64_list.value.append(id_)
    return found


def with_context(user: int, items: Iterable[int]) -> pb.Input:
    """The candidates of a user."""
    examples = [example(item_id=item) for item in items]
    listed = pb.ExampleListWithContext(context=example(user_id=user), examples=examples)
    return pb.Input(example_list_with_context=listed)


def without_context(users: Iterable[int], items: Iterable[int]) -> pb.Input:
    """Pairs."""
    pairs = zip(users, items, strict=True)
    examples = [example(user_id=user, item_id=item) for user, item in pairs]
    return pb.Input(example_list=pb.ExampleList(examples=examples))
