"""What reflection can describe: our own services, those of gRPC, and those of other protocols."""

from functools import cache
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor

_FILES = (ranking_pb2, models_pb2, health_pb2, reflection_pb2, open_inference_pb2, tf_serving_pb2)


@cache
def described_pool() -> DescriptorPool:
    """All of them in one pool, apart from the others: who only answers with it cannot clash with anybody."""
    pool = DescriptorPool()
    added: set[str] = set()
    for module in _FILES:
        _add(pool, module.DESCRIPTOR, added)
    return pool


def _add(pool: DescriptorPool, file: "FileDescriptor", added: set[str]) -> None:
    """Adds a file after those that it imports."""
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add(pool, imported, added)
    pool.AddSerializedFile(file.serialized_pb)
