"""Bodies of requests: read within their limit, and decoded into values whose faults have a name."""

import re
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from rankserve_client.gateway.problems import BadRequestError, Violation, invalid, shown

_PLACE = re.compile(r"^(?P<fault>.*) - at `(?P<key>key in )?\$(?P<path>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field (.+)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")

_Type = TypeVar("_Type")


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        BadRequestError: where it is larger, compressed, or its sender has gone.
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        detail = f"the body should not be compressed, got Content-Encoding {coding!r}"
        raise BadRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
    except ClientDisconnect as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the request ended before its body did") from error
    return b"".join(parts)


def decoded(body: bytes, type_: type[_Type]) -> _Type:
    """The value in a body of JSON.

    Raises:
        BadRequestError: naming the field that does not fit, and its value.
    """
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise _violation(str(error), body) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, f"the body should be JSON: {error}") from error
    except RecursionError as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "the body is nested too deeply") from error


def _violation(message: str, body: bytes) -> BadRequestError:
    match = _PLACE.match(message)
    fault, path = (match["fault"], match["path"]) if match else (message, "")
    field = path.removeprefix(".")
    fault = fault.replace("`", "")
    unknown = _UNKNOWN.fullmatch(fault)
    if unknown:
        return invalid(
            f"{field}.{unknown[1]}".removeprefix("."), "there is no such field; /openapi.json says what there is"
        )
    try:
        value = _value_at(body, path)
    except (KeyError, IndexError, TypeError, ValueError, RecursionError, msgspec.DecodeError):
        value = None
    else:
        if not isinstance(value, dict):
            fault += f"; got {shown(value)}"
    return invalid(field, fault) if field else BadRequestError(HTTPStatus.BAD_REQUEST, fault, Violation("", fault))


def _value_at(body: bytes, path: str) -> Any:
    value = msgspec.json.decode(body)
    for name, place in _STEP.findall(path):
        value = value[int(place)] if place else value[name]
    return value


def _too_large(limit: int) -> BadRequestError:
    detail = f"the body may have {limit:,} bytes; send fewer candidates, or several requests"
    return BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers={"Connection": "close"})
