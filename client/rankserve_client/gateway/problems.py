"""From what goes wrong to an answer of HTTP: the one place that maps one to the other."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import grpc
import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from rankserve_client.errors import DeadlineExceeded, MessageTooLarge, RankServeError, Unavailable, Unreachable

MEDIA_TYPE = "application/problem+json"
_Code = grpc.StatusCode
# As google.rpc.Code says it.
_STATUSES = {
    _Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    _Code.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    _Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    _Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    _Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    _Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    _Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    _Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    _Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    _Code.CANCELLED: HTTPStatus.SERVICE_UNAVAILABLE,
    _Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
_SHOWN_VALUE = 80


class Violation(Struct, frozen=True):
    """What is wrong with one field of a request: its path, such as `history.ratings[0]`, and what to do."""

    field: str
    description: str


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details, RFC 9457. `code` is the status of gRPC, `retry_after` in seconds, `request_id` for the logs."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str | UnsetType = UNSET
    violations: list[Violation] | UnsetType = UNSET
    resource: str | UnsetType = UNSET
    retry_after: float | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


class BadRequestError(Exception):
    """A request that the gateway itself refuses."""

    def __init__(
        self, status: HTTPStatus, detail: str, *violations: Violation, headers: Mapping[str, str] = {}
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.violations = violations
        self.headers = headers


def invalid(field: str, description: str) -> BadRequestError:
    """What is wrong with one field."""
    return BadRequestError(HTTPStatus.BAD_REQUEST, f"{field}: {description}", Violation(field, description))


def shown(value: object) -> str:
    """A value of a request for people, however long it is."""
    text = msgspec.json.encode(value).decode(errors="replace")
    return text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}..."


def problem_of(error: Exception) -> Problem:
    """What an error is told as; a fault of the gateway itself is told without its words."""
    if isinstance(error, BadRequestError):
        violations = list(error.violations) or UNSET
        return Problem(title=error.status.phrase, status=error.status, detail=error.detail, violations=violations)
    if isinstance(error, RankServeError):
        status = status_of(error)
        return Problem(
            title=status.phrase,
            status=status,
            detail=_detail(error),
            code=error.code.name,
            violations=[Violation(*each) for each in error.field_violations] or UNSET,
            resource=error.resource.name if error.resource else UNSET,
            retry_after=UNSET if error.retry_after is None else error.retry_after,
            request_id=error.request_id or UNSET,
        )
    internal = HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(title=internal.phrase, status=internal, detail="a fault of the gateway; its log says more")


def status_of(error: RankServeError) -> HTTPStatus:
    """The status of HTTP for that of gRPC."""
    if isinstance(error, MessageTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)


def headers_of(error: Exception, problem: Problem) -> dict[str, str]:
    """What goes with an error beside its body."""
    headers = dict(error.headers) if isinstance(error, BadRequestError) else {}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="rankserve"'
    if problem.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        seconds = 1.0 if problem.retry_after is UNSET else problem.retry_after
        headers.setdefault("Retry-After", str(max(1, math.ceil(seconds))))
    return headers


def problem_response(error: Exception, request_id: str) -> Response:
    """An error as problem details, with the server's name for the request, else the gateway's: mostly they are one."""
    problem = problem_of(error)
    if problem.request_id is UNSET:
        problem = msgspec.structs.replace(problem, request_id=request_id)
    body = msgspec.json.encode(problem)
    return Response(body, problem.status, headers_of(error, problem), media_type=MEDIA_TYPE)


def plain_error_response(error: Exception, _request_id: str) -> Response:
    """An error as the Open Inference Protocol and TF Serving have it: `{"error": "..."}`."""
    problem = problem_of(error)
    body: dict[str, Any] = {"error": problem.detail}
    headers = headers_of(error, problem)
    return Response(msgspec.json.encode(body), problem.status, headers, media_type="application/json")


def _detail(error: RankServeError) -> str:
    """Its own words, but where they would tell strangers the addresses behind the gateway."""
    match error:
        case Unreachable():
            return "the ranking server cannot be reached; try again later"
        case Unavailable():
            return "the ranking server is not available: it is starting or stopping; try again later"
        case DeadlineExceeded():
            return "no answer within the time that the request had"
    return str(error)
