"""Runs in Ray's proxy: says which methods it takes. Ray puts its own way to the replicas in place of their handlers."""

from collections import defaultdict
from typing import Any

import grpc

from rankserve_server.ray_serve.methods import METHODS, Method

# How Ray Serve is told of it: `grpc_servicer_functions`.
ADD_SERVICES = "rankserve_server.ray:add_services"


def add_services(_servicer: object, server: Any) -> None:
    """Registers every method, with messages left as bytes: the replica parses them, and refuses what is none.

    Args:
        _servicer: Ray's stand-in.
        server: Ray's gRPC server.
    """
    services: dict[str, dict[str, Any]] = defaultdict(dict)
    for method in METHODS:
        services[method.service][method.name] = _handler(method)
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        server.add_registered_method_handlers(service, handlers)


def _handler(method: Method) -> Any:
    if method.takes_stream and method.gives_stream:
        return grpc.stream_stream_rpc_method_handler(_unreachable)
    if method.gives_stream:
        return grpc.unary_stream_rpc_method_handler(_unreachable)
    return grpc.unary_unary_rpc_method_handler(_unreachable)


def _unreachable(*_: object) -> Any:
    raise AssertionError("Ray Serve calls the replicas instead")
