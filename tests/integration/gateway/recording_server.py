"""A server of gRPC that shows what arrives with a call, and answers as a test tells it to."""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import status_pb2

from rankserve.v1 import ranking_pb2


@dataclass
class RecordingServer:
    """Every call is recorded, then answered by `answer`, which is given the context and the message's bytes."""

    address: str = ""
    metadata: list[Mapping[str, str | bytes]] = field(default_factory=list)
    seconds_left: list[float] = field(default_factory=list)
    answer: Callable[[grpc.ServicerContext, bytes], bytes] = lambda *_: ranking_pb2.RankResponse(
        model_name="m", model_version=1
    ).SerializeToString()
    called: threading.Event = field(default_factory=threading.Event)

    def fail(self, code: grpc.StatusCode, message: str, *details: Message) -> None:
        """Answers with this status from now on."""
        packed = []
        for detail in details:
            packed.append(AnyMessage())
            packed[-1].Pack(detail)
        status = status_pb2.Status(code=code.value[0], message=message, details=packed)

        def answer(context: grpc.ServicerContext, _: bytes) -> bytes:
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(code, message)

        self.answer = answer

    def take(self, context: grpc.ServicerContext, message: bytes) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        self.seconds_left.append(context.time_remaining() or 0.0)
        self.called.set()
        return self.answer(context, message)


class _Anything(grpc.GenericRpcHandler):
    def __init__(self, server: RecordingServer) -> None:
        self._server = server

    def service(self, _: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        return grpc.unary_unary_rpc_method_handler(lambda message, context: self._server.take(context, message))


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    recording = RecordingServer()
    server = grpc.server(ThreadPoolExecutor(8), handlers=[_Anything(recording)])
    recording.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield recording
    finally:
        server.stop(None).wait()
