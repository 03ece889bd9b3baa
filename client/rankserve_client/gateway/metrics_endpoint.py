"""GET /metrics of a gateway, and nothing else, on a thread of its own: the port answers while the gateway is busy, too.

What whoever reaches the port can take is little, as with the one of a server: a few connections at a time, some seconds
for each, a hundred new ones a second, one text a second.
"""

import asyncio
import contextlib
import socket
import threading
import time
from http import HTTPStatus
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

_MOST_CONNECTIONS: Final = 8
_CONNECTION_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.01
_TEXT_SECONDS: Final = 1.0
_MOST_REQUEST_BYTES: Final = 8_192
_END_OF_HEAD: Final = b"\r\n\r\n"
_TEXT: Final = "Content-Type: text/plain; version=0.0.4; charset=utf-8"


class MetricsEndpoint:
    """Serves the text of a registry until the process ends.

    Attributes:
        port: that it has.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """Takes the port, 0 for any free one, and answers from now on.

        Raises:
            OSError: where the address cannot be had.
        """
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self._listener = socket.create_server(address[:2], family=family)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._registry = registry
        self._text, self._made_at = b"", float("-inf")
        threading.Thread(target=asyncio.run, args=(self._serve(),), name="rankserve-metrics", daemon=True).start()

    async def _serve(self) -> None:
        room = asyncio.Semaphore(_MOST_CONNECTIONS)
        answering: set[asyncio.Task[None]] = set()
        while True:
            await room.acquire()
            task = asyncio.create_task(self._answer(await self._accepted()))
            answering.add(task)
            task.add_done_callback(answering.discard)
            task.add_done_callback(lambda _: room.release())
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _accepted(self) -> socket.socket:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError:  # too many open files, for one: they may be fewer later
                await asyncio.sleep(_CONNECTION_SECONDS)
            else:
                return connection

    async def _answer(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        with connection, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECTION_SECONDS):
                head = b""
                while _END_OF_HEAD not in head and len(head) <= _MOST_REQUEST_BYTES:
                    received = await loop.sock_recv(connection, _MOST_REQUEST_BYTES)
                    if not received:
                        break
                    head += received
                await loop.sock_sendall(connection, self._answer_to(head))

    def _answer_to(self, head: bytes) -> bytes:
        if len(head) > _MOST_REQUEST_BYTES:
            return _answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if _END_OF_HEAD not in head or len(line) != 3 or not line[2].startswith("HTTP/1."):
            return _answer(HTTPStatus.BAD_REQUEST)
        if line[1].partition("?")[0] != "/metrics":
            return _answer(HTTPStatus.NOT_FOUND)
        if line[0] != "GET":
            return _answer(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET")
        if time.monotonic() - self._made_at > _TEXT_SECONDS:
            self._text, self._made_at = generate_latest(self._registry), time.monotonic()
        return _answer(HTTPStatus.OK, _TEXT, body=self._text)


def _answer(status: HTTPStatus, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"HTTP/1.1 {status.value} {status.phrase}", *headers, f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join(lines).encode() + _END_OF_HEAD + body
