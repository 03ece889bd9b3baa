"""What every request passes and every answer has: a name, a host that is meant, headers of security."""

import re
import uuid
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from rankserve_client.gateway.problems import BadRequestError, problem_response

EXPOSED_HEADERS = ("retry-after", "server-timing", "x-request-id")
PAGES = "/playground/"

_REQUEST_ID = re.compile(r"[!-~]{1,128}")
_HOST = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([^:\[\]]+)(?::\d+)?")
_FOR_ALL = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_FOR_ANSWERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_FOR_PAGES = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Around the application."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str] | None) -> None:
        """`hosts` are the names that requests may be sent to; None for any."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        scope["request_id"] = request_id
        added = _FOR_ALL | (_FOR_PAGES if scope["path"].startswith(PAGES) else _FOR_ANSWERS)

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered["X-Request-Id"] = request_id
                for name, value in added.items():
                    answered.setdefault(name, value)
            await send(message)

        if self._hosts is not None and _name_in(headers.get("host", "")) not in self._hosts:
            detail = (
                f"this gateway is not {headers.get('host', '')[:80]!r}; whoever runs it can let the name in with "
                "--allowed-host"
            )
            refusal = problem_response(BadRequestError(HTTPStatus.MISDIRECTED_REQUEST, detail), request_id)
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _name_in(host: str) -> str:
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""
