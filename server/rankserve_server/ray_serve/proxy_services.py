"""Runs in Ray's proxy: says which methods it takes. Ray puts its own way to the replicas in place of their handlers."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from rankserve_server.ray_serve.methods import METHODS, Method
from rankserve_server.service.status import STATUS_DETAILS_KEY

# How Ray Serve is told of it: `grpc_servicer_functions`.
ADD_SERVICES = "rankserve_server.ray:add_services"
_INTERNAL = (grpc.StatusCode.INTERNAL, grpc.StatusCode.INTERNAL.value[0])
_HANDLER: Any = type(grpc.unary_unary_rpc_method_handler(lambda *_: b""))


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
    handler: Any = grpc.unary_unary_rpc_method_handler(_unreachable)
    return _RetriedHandler(*handler)


class _RetriedHandler(_HANDLER):  # type: ignore[misc]  # grpcio keeps its name private
    """Ray puts its own function in; what that says of a replica that has died is then put right."""

    def _replace(self, **fields: Any) -> Any:
        if "unary_unary" in fields:
            fields["unary_unary"] = _unavailable_where_ray_failed(fields["unary_unary"])
        return super()._replace(**fields)


def _unavailable_where_ray_failed(answer: Callable[..., Awaitable[bytes]]) -> Callable[..., Awaitable[bytes]]:
    """INTERNAL becomes UNAVAILABLE, which clients repeat: unless it is a replica's own, which has details."""

    async def answer_or_say(request: bytes, context: Any) -> bytes:
        response = await answer(request, context)
        if context.code() in _INTERNAL and not any(key == STATUS_DETAILS_KEY for key, _ in context.trailing_metadata()):
            context.set_code(grpc.StatusCode.UNAVAILABLE)
        return response

    return answer_or_say


def _unreachable(*_: object) -> Any:
    raise AssertionError("Ray Serve calls the replicas instead")
