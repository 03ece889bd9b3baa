"""What a server and a supervisor have in common about starting and stopping."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rankserve_server.config import ServerConfig

_log = logging.getLogger(__name__)

# How the one line on stdout begins that says that a server is ready; scripts wait for it.
READY = "rankserve ready on "
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StartError(Exception):
    """The server cannot start. The message says why and what to do."""


def print_ready(line: str) -> None:
    """Prints the ready line. Where it cannot be written, that is no reason to answer nobody."""
    try:
        print(line, flush=True)
    except OSError as error:
        _log.warning("The ready line cannot be written to stdout: %s.", error.strerror)
        # It is still in the buffer, and as the process ends it would fail once more and be its exit code.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextmanager
def stop_signals_handled(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `stop` on the running event loop while this is open, then what was set before."""
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _STOP_SIGNALS}
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            # A loop that took no real signals has changed none, and only the main thread could change one back.
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def let_signals_end_process() -> None:
    """SIGTERM and SIGINT end the process at once and well: for as long as it has nothing to finish.

    That is while it imports, which takes a second, and after it has served. Python's own way would be a traceback.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, _end_process)


def _end_process(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def address_error(config: ServerConfig, error: Exception) -> StartError:
    """What is wrong where an address cannot be listened on."""
    if isinstance(error, OSError) and error.errno != errno.EADDRINUSE:
        return StartError(f"cannot listen on {config.address}: {error.strerror}; choose another address with --host")
    return StartError(f"cannot listen on {config.address}: is another server running there? Choose another with --port")


def free_address(config: ServerConfig) -> tuple[socket.AddressFamily, Any]:
    """Makes sure that nobody listens on the config's address.

    gRPC finds that out too, but says it on stderr in its own words first; and a socket that shares its port never does.

    Returns:
        The family and the address, as sockets take them.

    Raises:
        StartError: where somebody does, or the address is none of this machine's.
    """
    try:
        return bound(config.host, config.port)
    except OSError as error:
        raise address_error(config, error) from error


def bound(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    """Binds an address for a moment.

    Returns:
        The family and the address, as sockets take them.

    Raises:
        OSError: where it cannot be had.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
    return family, address
