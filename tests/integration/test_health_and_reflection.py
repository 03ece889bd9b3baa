"""What probes and tools ask for."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from conftest import StartServer

RANKING = "rankserve.v1.RankingService"
Status = health_pb2.HealthCheckResponse


@pytest.mark.parametrize("service", ["", RANKING])
def test_a_ready_server_serves(channel: grpc.Channel, service: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == Status.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert next(watch).status == Status.SERVING
    watch.cancel()


def test_it_knows_nothing_of_other_services(channel: grpc.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=10)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="other"), timeout=10)
    assert next(watch).status == Status.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_names_every_service(channel: grpc.Channel) -> None:
    assert set(ProtoReflectionDescriptorDatabase(channel).get_services()) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        RANKING,
        "rankserve.v1.ModelService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }


def test_reflection_describes_other_protocols(channel: grpc.Channel) -> None:
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName("inference.GRPCInferenceService").FindMethodByName("ModelReady")
    request_type, response_type = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelReady", request_type.SerializeToString, response_type.FromString
    )
    response: Any = call(request_type(name="movielens"), timeout=10)
    assert response.ready


def test_reflection_is_enough_to_build_a_call(channel: grpc.Channel) -> None:
    """As grpcurl does it: no stubs, only what the server tells."""
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    method = pool.FindServiceByName(RANKING).FindMethodByName("Rank")
    request_type, response_type = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    call = channel.unary_unary(f"/{RANKING}/Rank", request_type.SerializeToString, response_type.FromString)
    response: Any = call(request_type(user_id=42, candidate_ids=[204, 141, 131]), timeout=10)
    assert set(response.item_ids) == {204, 141, 131}


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_other_protocols_can_be_left_out(start_server: StartServer, transport: str) -> None:
    server = start_server("--no-other-protocols", "--transport", transport).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        assert not [name for name in services if name.startswith(("inference.", "tensorflow."))]
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
