"""Every method of every service, by the descriptors of their messages."""

from typing import NamedTuple

from grpc_health.v1 import health_pb2

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2


class Method(NamedTuple):
    """One method.

    Attributes:
        service: with its package.
        name: of the method alone: by this Ray finds it, so that no two services may have the same.
        takes_stream: whether it has a stream of requests.
        gives_stream: whether it has a stream of answers.
    """

    service: str
    name: str
    takes_stream: bool
    gives_stream: bool

    @property
    def path(self) -> str:
        """As gRPC calls it."""
        return f"/{self.service}/{self.name}"


_FILES = (ranking_pb2, models_pb2, health_pb2, open_inference_pb2, tf_serving_pb2)

METHODS = [
    Method(service.full_name, method.name, method.client_streaming, method.server_streaming)
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
