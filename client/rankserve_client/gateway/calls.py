"""One request of HTTP on its way: who is asking, for how long, and what for."""

import asyncio
import re
import time
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.requests import Request

from rankserve_client.gateway.bodies import decoded
from rankserve_client.gateway.problems import BadRequestError, invalid
from rankserve_client.gateway.upstream import Connection, Upstream

_GRPC_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_GRPC_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}[ -~]{0,64}")
_TRACE_STATE = re.compile(r"[ -~]{1,512}")
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_LARGEST, _SMALLEST = 2**63 - 1, -(2**63)
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")

_Type = TypeVar("_Type")


class Gone(Exception):  # noqa: N818  # no error: nobody waits for the answer any more
    """The caller has closed his connection."""


class Call:
    """What an operation answers."""

    def __init__(self, request: Request, upstream: Upstream, body: bytes, deadline: float) -> None:
        """`deadline` is on the clock of `time.monotonic`."""
        self.upstream = upstream
        self.body = body
        self.request = request
        self.deadline = deadline

    @property
    def connection(self) -> Connection:
        """The server, with what this caller may and with the time that he has left."""
        left = max(self.deadline - time.monotonic(), 0.001)
        return self.upstream.connect(_token(self.request), _metadata(self.request), left)

    def decoded(self, type_: type[_Type]) -> _Type:
        """The body."""
        return decoded(self.body, type_)

    def path(self, name: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[name]
        return value

    def text(self, name: str) -> str | None:
        """A parameter behind the question mark; None where it is not given."""
        return self.request.query_params.get(name)

    def flag(self, name: str) -> bool:
        """Likewise, true or false."""
        value = (self.text(name) or "").lower()
        if value not in (*_TRUE, *_FALSE):
            raise invalid(name, f"should be true or false, got {value!r}")
        return value in _TRUE

    def number(self, name: str, low: int = _SMALLEST, high: int = _LARGEST) -> int | None:
        """Likewise, an integer within its range; None where it is not given."""
        value = self.text(name)
        return None if value is None else integer(name, value, low, high)


def integer(name: str, text: str, low: int = _SMALLEST, high: int = _LARGEST) -> int:
    """The integer in a text.

    Raises:
        BadRequestError: where there is none, or it is out of its range.
    """
    number = int(text) if re.fullmatch(r"-?[0-9]{1,19}", text) else None
    if number is None or not low <= number <= high:
        raise invalid(name, f"should be an integer from {low} to {high}, got {text[:40]!r}")
    return number


def timeout_of(request: Request, longest: float) -> float:
    """Seconds that a request may take: what its headers ask for, at most `longest`.

    Raises:
        BadRequestError: where they ask for no time.
    """
    headers = request.headers
    if "request-timeout" in headers:
        text = headers["request-timeout"]
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            raise BadRequestError(
                HTTPStatus.BAD_REQUEST, f"Request-Timeout should be seconds, such as 0.2, got {text[:40]!r}"
            )
        return min(seconds, longest)
    if "grpc-timeout" in headers:
        text = headers["grpc-timeout"]
        match = _GRPC_TIMEOUT.fullmatch(text)
        if match is None or not int(match[1]):
            raise BadRequestError(
                HTTPStatus.BAD_REQUEST, f"grpc-timeout should be a number and its unit, such as 200m, got {text[:40]!r}"
            )
        return min(int(match[1]) * _GRPC_UNITS[match[2]], longest)
    return longest


async def unless_gone(request: Request, work: Awaitable[_Type]) -> _Type:
    """The result of the work, which is given up where the caller goes: the server then drops it too.

    Raises:
        Gone: then.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return await task
    finally:
        watch.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _token(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    match = _BEARER.fullmatch(header)
    if match is None:
        raise BadRequestError(HTTPStatus.UNAUTHORIZED, "the Authorization header should be: Bearer TOKEN")
    return match[1]


def _metadata(request: Request) -> list[tuple[str, Any]]:
    """What is passed on to the server: who this request is, and what it is a part of."""
    headers = request.headers
    pairs = [("x-request-id", request.scope["request_id"])]
    parent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
    if _TRACE_PARENT.fullmatch(parent):
        pairs.append(("traceparent", parent))
        if _TRACE_STATE.fullmatch(state):
            pairs.append(("tracestate", state))
    return pairs
