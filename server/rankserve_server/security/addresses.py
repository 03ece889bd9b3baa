"""Which addresses only this machine can reach."""

import ipaddress
import socket
from contextlib import suppress

UNIX = "unix:"


def is_loopback(host: str) -> bool:
    """Whether a server on this address is reached from this machine only."""
    with suppress(OSError, ValueError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)
    return False


def is_local(address: str) -> bool:
    """Whether `unix:/PATH` or HOST:PORT is one that only this machine can reach."""
    if address.startswith(UNIX):
        return address.removeprefix(UNIX).startswith("/")
    host, _, port = address.rpartition(":")
    return port.isdecimal() and int(port) < 65_536 and is_loopback(host.strip("[]"))
