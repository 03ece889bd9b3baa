"""The transport that listens nowhere: Ray's proxy does, and calls the replica."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from ray.serve.grpc_util import RayServegRPCContext

from rankserve_server.config import ServerConfig
from rankserve_server.errors import InvalidRequestError, RequestError, UnsupportedError, Violation
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.ray_serve.call_context import CallContext, CallEndedError, ThreadCallContext
from rankserve_server.ray_serve.methods import Method
from rankserve_server.security.access import Access
from rankserve_server.service.async_health_service import AsyncHealthService
from rankserve_server.service.async_scoring import AsyncScoring
from rankserve_server.service.calls import Calls, fail
from rankserve_server.service.health import Health
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.transport.aio import register_services
from rankserve_server.transport.services import HEALTH_NAMES, HEALTH_SERVICE, registry_of

if TYPE_CHECKING:
    import grpc

    from rankserve_server.metrics.server_counts import ServerCounts

    Handler = grpc.RpcMethodHandler[Any, Any]

_WATCH = f"/{HEALTH_SERVICE}/Watch"


class RayTransport:
    """See `Transport`. Belongs to the running event loop."""

    name = "ray"

    def __init__(
        self,
        config: ServerConfig,
        planner: Planner,
        models: ModelService,
        access: Access,
        protocols: Sequence[ProtocolService],
        counts: "ServerCounts",
    ) -> None:
        self._gate = access.gate
        self._waiter = ScoreWaiter(config.limits, counts.queue)
        self._calls = Calls()
        self._health = AsyncHealthService(Health(HEALTH_NAMES))
        self._handlers = _Handlers()
        registry: Any = registry_of(self._handlers, counts.new_calls())  # type: ignore[arg-type]  # what is used of a grpc.Server, it has
        scoring = AsyncScoring(planner, self._waiter, self._calls, config.limits.max_stream_requests)
        register_services(registry, scoring, planner, models, self._health, protocols)

    @property
    def in_flight(self) -> int:
        return self._calls.count

    @property
    def queued_candidates(self) -> int:
        return self._waiter.queued_candidates

    @property
    def turns(self) -> int:
        return time.monotonic_ns()

    def listen(self, address: str) -> int:
        raise RuntimeError(f"a replica does not listen at {address}")

    async def start(self) -> None:
        pass

    async def set_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.SERVING)

    async def set_not_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def set_models_health(self, ready: Mapping[str, bool]) -> None:
        self._health.set_models(ready)

    async def drain(self, seconds: float) -> int:
        return await self._calls.drain(seconds)

    async def stop(self, at_once: bool) -> None:  # noqa: ARG002, there is no connection to cut
        self._health.end()
        self._waiter.close()

    async def answer(self, method: Method, message: bytes, ray_context: RayServegRPCContext) -> bytes:
        """Answers a unary call; empty where it ends with another status than OK, which `ray_context` then has.

        Ray gives the caller the trailing metadata of calls that return, and not of those that raise.
        """
        try:
            handler = await self._opened(method, ray_context)
            context: Any = CallContext(ray_context, message)
            # Unary calls of what needs scores are read from their context.
            behavior: Any = handler.stream_unary or handler.unary_unary
            answer: bytes
            if inspect.iscoroutinefunction(behavior):
                answer = await behavior(message, context)
            else:
                request = await _deserialized(handler, message, context)
                response = await asyncio.to_thread(behavior, request, ThreadCallContext(ray_context))
                answer = response if handler.response_serializer is None else handler.response_serializer(response)
            return answer
        except CallEndedError:
            return b""

    async def stream(
        self, method: Method, requests: AsyncIterator[bytes], ray_context: RayServegRPCContext
    ) -> AsyncIterator[bytes]:
        """Answers a call with streams.

        Raises:
            CallEndedError: where it ends with another status than OK; its details are lost on the way.
        """
        handler = await self._opened(method, ray_context)
        context: Any = CallContext(ray_context, None)
        behavior: Any = handler.stream_stream
        async for answer in behavior(requests, context):
            yield answer

    async def _opened(self, method: Method, ray_context: RayServegRPCContext) -> "Handler":
        """The handler of a call that may go on."""
        error: RequestError | None = None
        if self._gate is not None:
            error = self._gate.refusal(method.path, ray_context.invocation_metadata())
        handler = self._handlers.of(method.path)
        if error is None and (handler is None or method.path == _WATCH):
            error = UnsupportedError(_unsupported(method))
        if error is not None or handler is None:
            context: Any = CallContext(ray_context, None)
            await fail(context, error or UnsupportedError(_unsupported(method)))
        return handler


class _Handlers:
    """Where services are registered instead of at a server of grpcio."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add_registered_method_handlers(self, service: str, handlers: "Mapping[str, Handler]") -> None:
        """Keeps those of a service."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Generated code registers everything twice."""

    def of(self, path: str) -> "Handler | None":
        """The handler of `/package.Service/Method`; None where there is none."""
        return self._handlers.get(path)


def _unsupported(method: Method) -> str:
    if method.path == _WATCH:
        return "Watch is not answered on Ray Serve, where a call goes to any of the replicas; ask Check again and again"
    return f"{method.path} is not answered here: the application does not answer that protocol, or not this method"


async def _deserialized(handler: "Handler", message: bytes, context: Any) -> Any:
    if handler.request_deserializer is None:
        return message
    try:
        return handler.request_deserializer(message)
    except Exception:
        await fail(context, InvalidRequestError(Violation("", "the bytes are not a message of this method")))
