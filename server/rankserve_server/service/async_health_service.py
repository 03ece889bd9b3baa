"""The health service on grpc.aio."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from rankserve_server.errors import NotReadyError
from rankserve_server.service.calls import Context, fail
from rankserve_server.service.health import Health


class AsyncHealthService:
    """Answers on the event loop. Takes and gives encoded messages, as `AsyncScoring` does."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._changed = asyncio.Event()
        self._ended = False

    def set(self, status: int) -> None:
        """Sets the status of all services, and tells those who watch."""
        self._health.set(status)
        self._wake()

    def set_models(self, ready: Mapping[str, bool]) -> None:
        """See `Health.set_models`."""
        self._health.set_models(ready)
        self._wake()

    def end(self) -> None:
        """Ends every Watch: grpc.aio would cancel them as it stops, and log each as an error."""
        self._ended = True
        self._wake()

    async def check(self, request: bytes, context: Context) -> bytes:
        """How a service is."""
        try:
            return self._health.check(request)
        except Exception as error:  # a bug too must reach the client as a status
            await fail(context, error)

    async def list(self, request: bytes, context: Context) -> bytes:
        """How all of them are."""
        try:
            return self._health.list(request)
        except Exception as error:  # as above
            await fail(context, error)

    async def watch(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """How a service is, now and whenever that changes."""
        try:
            service = self._health.service_of(request)
        except Exception as error:  # as above
            await fail(context, error)
        told = b""
        while True:
            changed = self._changed
            status = self._health.watched(service)
            if status != told:
                told = status
                yield status
            elif self._ended:  # not before it is told the last change
                break
            else:
                await changed.wait()
        await fail(context, NotReadyError("the server is shutting down"))

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
