"""Calls of the Open Inference Protocol, made of the server's own messages: no client library is needed."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message_factory import GetMessageClass

from rankserve_server.protocols.messages import open_inference_pb2 as pb

Ids = npt.NDArray[Any]  # int32 or int64
Scores = npt.NDArray[np.float32]
_SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_SECONDS = 10


def method(channel: grpc.Channel | grpc.aio.Channel, name: str) -> Callable[..., Any]:
    """A unary method of the service, called with a message and what gRPC knows beside it."""
    described = _SERVICE.methods_by_name[name]
    response = GetMessageClass(described.output_type)
    call: Any = channel.unary_unary(
        f"/{_SERVICE.full_name}/{name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=response.FromString,
    )
    return lambda request, **options: call(request, timeout=_SECONDS, **options)


def stream(
    channel: grpc.Channel, requests: Sequence[pb.ModelInferRequest], **options: Any
) -> list[pb.ModelStreamInferResponse]:
    """What ModelStreamInfer answers; `options` are those of gRPC."""
    call: Any = channel.stream_stream(
        f"/{_SERVICE.full_name}/ModelStreamInfer",
        request_serializer=pb.ModelInferRequest.SerializeToString,
        response_deserializer=pb.ModelStreamInferResponse.FromString,
    )
    return list(call(iter(requests), timeout=_SECONDS, **options))


def infer_request(users: Ids, items: Ids, *, raw: bool = True, **fields: Any) -> pb.ModelInferRequest:
    """A request of ModelInfer; `fields` are further ones of it."""
    request = pb.ModelInferRequest(**fields)
    for name, ids in (("user_id", users), ("item_id", items)):
        add_input(request, name, ids, raw)
    return request


def add_input(request: pb.ModelInferRequest, name: str, ids: Ids, raw: bool) -> None:
    datatype = {4: "INT32", 8: "INT64"}[ids.dtype.itemsize]
    tensor = request.inputs.add(name=name, datatype=datatype, shape=ids.shape)
    if raw:
        request.raw_input_contents.append(ids.tobytes())
    else:
        field = tensor.contents.int_contents if datatype == "INT32" else tensor.contents.int64_contents
        field.extend(ids.ravel().tolist())


def scores_of(response: pb.ModelInferResponse) -> Scores:
    """The output, raw or typed."""
    (output,) = response.outputs
    assert (output.name, output.datatype) == ("score", "FP32")
    if response.raw_output_contents:
        (raw,) = response.raw_output_contents
        assert not output.HasField("contents")
        return np.frombuffer(raw, "<f4").reshape(output.shape)
    return np.array(output.contents.fp32_contents, np.float32).reshape(output.shape)
