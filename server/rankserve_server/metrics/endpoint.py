"""GET /metrics, and nothing else.

It has a thread of its own and little to give: a few connections at a time, some seconds for each, a hundred new ones a
second, one text a second. So whoever asks too much, too often or too slowly takes next to nothing from the calls.
"""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric

from rankserve_server.config import address_of
from rankserve_server.starting import StartError

_log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 8
_CONNECTION_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_TEXT_SECONDS = 1.0
_MOST_REQUEST_BYTES = 8_192
_END_OF_HEAD = b"\r\n\r\n"
_PATH = "/metrics"
# Every scraper reads this one.
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsEndpoint:
    """Serves the text of some families."""

    def __init__(self, host: str, port: int, collect: Callable[[], Iterable[Metric]]) -> None:
        """Takes the port; nobody is answered yet.

        Args:
            host: address to listen on.
            port: 0 for any free one.
            collect: what there is, on the endpoint's thread.

        Raises:
            StartError: where the address cannot be had.
        """
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._listener = socket.create_server(address[:2], family=family)
        except OSError as error:
            problem = f"cannot serve metrics on {address_of(host, port)}: {error.strerror}"
            raise StartError(f"{problem}; choose another address with --metrics-host and --metrics-port") from error
        self._listener.setblocking(False)
        self._address = address_of(host, self._listener.getsockname()[1])
        self._text = _Text(collect)
        self._thread = threading.Thread(target=self._run, name="rankserve-metrics", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()
        _log.info("Metrics are served at http://%s%s.", self._address, _PATH)

    def stop(self) -> None:
        """Answers nobody any more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(_CONNECTION_SECONDS)
        self._listener.close()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner, contextlib.suppress(asyncio.CancelledError):
            runner.run(self._serve())

    def _end(self) -> None:
        if self._serving is not None:
            self._serving.cancel()

    async def _serve(self) -> None:
        self._serving = asyncio.current_task()
        room = asyncio.Semaphore(_MOST_CONNECTIONS)
        answering: set[asyncio.Task[None]] = set()
        while True:
            await room.acquire()
            connection = await self._accepted()
            task = self._loop.create_task(self._answer(connection))
            answering.add(task)
            task.add_done_callback(answering.discard)
            task.add_done_callback(lambda _: room.release())
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _accepted(self) -> socket.socket:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except OSError as error:  # too many open files, for one: they may be fewer later
                _log.warning("No connection for metrics can be taken: %s.", error.strerror)
                await asyncio.sleep(_CONNECTION_SECONDS)
            else:
                return connection

    async def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECTION_SECONDS):
                answer = self._answer_to(await self._head(connection))
                await self._loop.sock_sendall(connection, answer)

    async def _head(self, connection: socket.socket) -> bytes:
        """What was sent, up to the end of the headers, or as much as there may be of it."""
        connection.setblocking(False)
        head = b""
        while _END_OF_HEAD not in head and len(head) <= _MOST_REQUEST_BYTES:
            received = await self._loop.sock_recv(connection, _MOST_REQUEST_BYTES)
            if not received:
                break
            head += received
        return head

    def _answer_to(self, head: bytes) -> bytes:
        if len(head) > _MOST_REQUEST_BYTES:
            return _answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        line = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if _END_OF_HEAD not in head or len(line) != 3 or not line[2].startswith("HTTP/1."):
            return _answer(HTTPStatus.BAD_REQUEST)
        method, target, _ = line
        if target.partition("?")[0] != _PATH:
            return _answer(HTTPStatus.NOT_FOUND)
        if method != "GET":
            return _answer(HTTPStatus.METHOD_NOT_ALLOWED, "Allow: GET")
        try:
            return _answer(HTTPStatus.OK, f"Content-Type: {_CONTENT_TYPE}", body=self._text.now())
        except Exception:  # whatever it is, the next scrape may fare better
            _log.exception("The metrics could not be collected.")
            return _answer(HTTPStatus.INTERNAL_SERVER_ERROR)


class _Text:
    """The text of what is collected, made once a second at most. It is what `generate_latest` takes for a registry."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect
        self._made_at = float("-inf")
        self._text = b""

    def now(self) -> bytes:
        if time.monotonic() - self._made_at > _TEXT_SECONDS:
            self._text = generate_latest(self)
            self._made_at = time.monotonic()
        return self._text


def _answer(status: HTTPStatus, *headers: str, body: bytes = b"") -> bytes:
    lines = (f"HTTP/1.1 {status.value} {status.phrase}", *headers, f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join(lines).encode() + _END_OF_HEAD + body
