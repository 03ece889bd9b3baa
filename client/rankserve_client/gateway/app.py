"""The application: routes made of the operations, pages, and what every answer has."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from rankserve_client.errors import RankServeError
from rankserve_client.gateway import probes
from rankserve_client.gateway.api import catalog, models, ranking
from rankserve_client.gateway.bodies import read_body
from rankserve_client.gateway.calls import Call, Gone, timeout_of, unless_gone
from rankserve_client.gateway.config import GatewayConfig
from rankserve_client.gateway.guard import EXPOSED_HEADERS, Guard
from rankserve_client.gateway.metrics import ROUTE, GatewayMetrics
from rankserve_client.gateway.open_inference import operations as open_inference
from rankserve_client.gateway.openapi import document
from rankserve_client.gateway.operations import PROBES, Operation
from rankserve_client.gateway.pages import page_routes
from rankserve_client.gateway.problems import BadRequestError, plain_error_response, problem_response
from rankserve_client.gateway.tf_serving import operations as tf_serving
from rankserve_client.gateway.upstream import Upstream

_log = logging.getLogger(__name__)

# In the order in which a path is looked for: first what is called most.
OPERATIONS: tuple[Operation, ...] = (
    *ranking.OPERATIONS,
    *tf_serving.OPERATIONS,
    *open_inference.OPERATIONS,
    *catalog.OPERATIONS,
    *models.OPERATIONS,
    *probes.OPERATIONS,
)
_OTHER_PROTOCOLS = ("/v1/", "/v2")
_CALLER_HAS_GONE = 499
_ALLOWED_HEADERS = ("authorization", "content-type", "request-timeout", "traceparent", "tracestate", "x-request-id")


def build_app(config: GatewayConfig, upstream: Upstream, metrics: GatewayMetrics | None = None) -> Starlette:
    """The application for a configuration; `metrics` count what becomes of requests, None for nobody."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        upstream.open()
        try:
            yield
        finally:
            await upstream.close()

    answering = _Answering(config, upstream, metrics)
    routes: list[BaseRoute] = [
        Route(operation.path, answering.endpoint(operation), methods=[operation.method]) for operation in OPERATIONS
    ]
    described = msgspec.json.encode(document(OPERATIONS))
    routes.append(Route("/openapi.json", lambda _: Response(described, media_type="application/json")))
    middleware = [Middleware(Guard, hosts=config.hosts)]
    if config.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
        middleware.append(cors)
    if config.playground:
        routes += page_routes()
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={HTTPException: _not_there},
        lifespan=lifespan,
    )


class _Answering:
    """Answers operations, so many at a time."""

    def __init__(self, config: GatewayConfig, upstream: Upstream, metrics: GatewayMetrics | None) -> None:
        self._metrics = metrics
        self._config = config
        self._upstream = upstream
        self._in_flight = 0

    def endpoint(self, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
        """What the route of an operation calls."""

        async def answer(request: Request) -> Response:
            request.scope[ROUTE] = operation.path
            try:
                return await self._answer(operation, request)
            except Gone:
                return Response(status_code=_CALLER_HAS_GONE)
            except BadRequestError as error:
                return operation.tag.error(error, request.scope["request_id"])
            except RankServeError as error:
                if self._metrics is not None:
                    self._metrics.failed(error)
                return operation.tag.error(error, request.scope["request_id"])
            except Exception as error:
                _log.exception("%s %s failed", operation.method, operation.path)
                return operation.tag.error(error, request.scope["request_id"])

        return answer

    async def _answer(self, operation: Operation, request: Request) -> Response:
        if self._in_flight >= self._config.max_requests and operation.tag is not PROBES:
            detail = f"this gateway answers {self._config.max_requests} requests at a time, and has as many"
            raise BadRequestError(HTTPStatus.SERVICE_UNAVAILABLE, detail)
        self._in_flight += 1
        started = time.perf_counter()
        try:
            call = await self._call(operation, request)
            result = await unless_gone(request, operation.answer(call))
        finally:
            self._in_flight -= 1
        response = (
            result
            if isinstance(result, Response)
            else Response(msgspec.json.encode(result), media_type="application/json")
        )
        response.headers["Server-Timing"] = f"gateway;dur={(time.perf_counter() - started) * 1000:.2f}"
        return response

    async def _call(self, operation: Operation, request: Request) -> Call:
        timeout = timeout_of(request, self._config.timeout)
        deadline = time.monotonic() + timeout
        body = b""
        if operation.body is not None:
            try:
                async with asyncio.timeout(timeout):
                    body = await read_body(request, self._config.max_body_bytes)
            except TimeoutError as error:
                detail = f"the body did not come within {timeout:g} s"
                raise BadRequestError(HTTPStatus.REQUEST_TIMEOUT, detail, headers={"Connection": "close"}) from error
        return Call(request, self._upstream, body, deadline)


async def _not_there(request: Request, error: Exception) -> Response:
    """A path or a method that there is not, in the words of the protocol that it belongs to."""
    if not isinstance(error, HTTPException):  # Starlette calls it for no other, and declares it for any
        raise error
    status = HTTPStatus(error.status_code)
    path = request.url.path
    detail = f"there is nothing at {path[:80]}; /openapi.json says what there is"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = f"{request.method[:20]} is not for {path[:80]}; /openapi.json says what is"
    told = BadRequestError(status, detail, headers=error.headers or {})
    told_as = plain_error_response if path.startswith(_OTHER_PROTOCOLS) else problem_response
    return told_as(told, request.scope["request_id"])
