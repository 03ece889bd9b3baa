"""Every method that a server says it has, with any message: it is answered or refused, and never as a fault of ours."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from conftest import StartServer
from integration.open_inference import infer_request
from integration.statuses import status_of
from integration.tf_serving import method as tf_serving_method
from integration.tf_serving import predict_request, with_context
from rankserve.v1 import catalog_pb2, models_pb2, ranking_pb2
from rankserve_client import RankingClient
from rankserve_server.protocols.described import described_pool
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2
from reliability.any_messages import AnyMessages

COUNT = int(os.environ.get("RELIABILITY_METHOD_MESSAGES", "25"))
SECONDS = 30
USER, ITEMS = np.array([18]), np.array([5, 450])
RANK = ranking_pb2.RankRequest(user_id=18, candidate_ids=[5, 450])
CONFIG = tf_serving_pb2.ReloadConfigRequest()
CONFIG.config.model_config_list.config.add(name="towers")
# Of what an empty message does not ask for. What follows from them comes deep; of other methods any message is near.
_ANSWERED: list[Message] = [
    RANK,
    ranking_pb2.BatchRankRequest(requests=[RANK]),
    models_pb2.ChangeServingRequest(pin=models_pb2.PinVersion(version=1)),
    catalog_pb2.GetItemsRequest(item_ids=[5]),
    catalog_pb2.GetBaselineRequest(item_ids=[5]),
    infer_request(USER, ITEMS),
    open_inference_pb2.ModelConfigRequest(name="towers"),
    open_inference_pb2.RepositoryModelLoadRequest(model_name="towers"),
    open_inference_pb2.RepositoryModelUnloadRequest(model_name="towers"),
    predict_request(USER, ITEMS),
    tf_serving_pb2.RegressionRequest(input=with_context(18, [5, 450])),
    tf_serving_pb2.ClassificationRequest(input=with_context(18, [5, 450])),
    tf_serving_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
    CONFIG,
    reflection_pb2.ServerReflectionRequest(list_services=""),
]
# Types of messages that two pools may hold are told by their names.
ANSWERED = {message.DESCRIPTOR.full_name: message.SerializeToString() for message in _ANSWERED}
# What a fault of our own says, also in the place of one answer of several.
INTERNAL = b"internal error"
EXPECTED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "FAILED_PRECONDITION"}


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_every_method_with_any_message(start_server: StartServer, models: Path, transport: str) -> None:
    server = start_server("--transport", transport, models=models).wait_until_ready()
    counts: Counter[str] = Counter()
    with grpc.insecure_channel(server.address) as channel, RankingClient(server.address) as client:
        before = client.rank(18, [5, 450])
        for method in methods_of(channel):
            ask, messages = caller(channel, method), AnyMessages(seed=20261129)
            answered = ANSWERED.get(method.input_type.full_name, b"")
            near = GetMessageClass(method.input_type).FromString(answered)
            assert ask(near) == "OK", f"{method.full_name} does not answer its own message"
            codes = Counter(ask(each) for each in messages.each_field_changed(near))
            codes.update(ask(messages.near(near)) for _ in range(COUNT))
            codes.update(ask(messages.of(method.input_type)) for _ in range(COUNT // 2))
            assert set(codes) <= EXPECTED, f"{method.full_name}: {codes}"
            counts.update(codes)
            restore(channel)
        assert client.rank(18, [5, 450]) == before
    print(f"\n{counts.total():,} calls: {dict(sorted(counts.items()))}")
    assert min(counts["INVALID_ARGUMENT"], counts["NOT_FOUND"]) > COUNT
    ended = server.stop()
    assert (ended.code, ended.errors.count("Traceback")) == (0, 0), ended.errors


def methods_of(channel: grpc.Channel) -> list[MethodDescriptor]:
    """Those of the services that the server itself lists: a new one is among them."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # it has no types
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([request]), timeout=SECONDS)
    services = [service.name for service in answer.list_services_response.service]
    return [method for name in services for method in described_pool().FindServiceByName(name).methods]


def caller(channel: grpc.Channel, method: MethodDescriptor) -> Callable[[Message], str]:
    """What calls a method with a message, and gives the name of the status that it ends with."""
    kinds = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
    start: Any = getattr(channel, "_".join(kinds))(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
    )

    def ask(message: Message) -> str:
        try:
            answer = start(iter([message]) if method.client_streaming else message, timeout=SECONDS)
            if method.server_streaming:
                # Some of them have no end.
                calls, answer = answer, next(answer)
                calls.cancel()
        except grpc.RpcError as error:
            return code_of(error, message)
        assert INTERNAL not in answer, message
        return "OK"

    return ask


def code_of(error: grpc.RpcError, message: Message) -> str:
    """The name of a failure's status, which says what was wrong with the message."""
    status = status_of(error)
    name: str = code_pb2.Code.Name(status.code)
    if name == "INVALID_ARGUMENT":
        kinds = [detail.TypeName() for detail in status.details]
        assert error_details_pb2.BadRequest.DESCRIPTOR.full_name in kinds, (status, message)
    return name


def restore(channel: grpc.Channel) -> None:
    """Undoes what admins can do: the version answers, by no other name."""
    request = tf_serving_pb2.ReloadConfigRequest.FromString(ANSWERED[CONFIG.DESCRIPTOR.full_name])
    tf_serving_method(channel, "HandleReloadConfigRequest")(request)
