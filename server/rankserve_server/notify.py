"""Tells systemd how the server is: sd_notify(3), without a library."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG_USEC = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"


class Notifier:
    """Sends to the socket that systemd has named in the environment; where it has named none, nothing happens.

    Attributes:
        watchdog_seconds: how often `WATCHDOG=1` is due; None where systemd does not watch this process.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get(_SOCKET, "")
        # "@" stands for the zero byte that abstract sockets begin with.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        watched = environment.get(_WATCHDOG_PID, str(os.getpid())) == str(os.getpid())
        microseconds = environment.get(_WATCHDOG_USEC, "") if watched and path else ""
        # Half of the time after which it is too late, as sd_watchdog_enabled(3) asks.
        self.watchdog_seconds = int(microseconds) / 2e6 if microseconds.isdecimal() and int(microseconds) else None

    @asynccontextmanager
    async def watched(self, turns: Callable[[], int]) -> AsyncIterator[None]:
        """Sends `WATCHDOG=1` while this is open and something goes on.

        Args:
            turns: a number that changes for as long as that works.
        """
        watching = asyncio.create_task(self._watch(turns))
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self, turns: Callable[[], int]) -> None:
        seen: int | None = None
        while self.watchdog_seconds is not None:
            if (now := turns()) != seen:
                self.send("WATCHDOG=1")
            seen = now
            await asyncio.sleep(self.watchdog_seconds)

    def send(self, *states: str) -> None:
        """Sends states such as `READY=1`. That nobody listens any more is no reason not to serve."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.connect(self._address)
                sender.send("\n".join(states).encode())
        except OSError:
            return


def unnotified(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for other processes: they are not the one that systemd hears."""
    return {name: value for name, value in environment.items() if name not in (_SOCKET, _WATCHDOG_USEC, _WATCHDOG_PID)}
