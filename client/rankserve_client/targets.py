"""From the addresses that a caller gives to the one URI that gRPC takes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from rankserve_client.policies import require

_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:")
_LITERALS: dict[str, type[IPv4Address | IPv6Address]] = {"ipv4:": IPv4Address, "ipv6:": IPv6Address}
_LOCAL = ("127.", "localhost:", "[::1]:", "ipv4:127.", "ipv6:[::1]:", "unix:", "unix-abstract:")
_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\s:/\[\],]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the servers are: `uri` for gRPC, `name` for people, and whether several addresses were given."""

    uri: str
    name: str
    several: bool = False


def parse_target(target: str | Sequence[str]) -> Target:
    """Turns one address or several into a gRPC target; a ValueError says what is wrong with which."""
    require(isinstance(target, str | Sequence), "target", "an address or a sequence of them", target)
    addresses = [target] if isinstance(target, str) else list(target)
    if not addresses:
        raise ValueError("`target` must be an address or several. Received: an empty sequence")
    for address in addresses:
        _check(address)
    uri = addresses[0] if len(addresses) == 1 else _join(list(dict.fromkeys(addresses)))
    return Target(uri, ", ".join(addresses), len(set(addresses)) > 1)


def is_local(name: str) -> bool:
    """Whether the addresses in a `Target.name` are all of this machine."""
    return all(address.startswith(_LOCAL) for address in name.split(", "))


def _check(address: object) -> None:
    if not isinstance(address, str):
        raise ValueError(f"`target` must be a string such as 'host:port', or several. Received: {address!r}")
    if not _is_usable(address):
        raise ValueError(
            "`target` must be 'host:port', '[IPv6 address]:port' or one of gRPC's schemes "
            f"({', '.join(_SCHEMES)}). Received: {address!r}"
        )


def _is_usable(address: str) -> bool:
    for scheme, family in _LITERALS.items():
        if address.startswith(scheme):
            return all(_is_literal(part, family) for part in address.removeprefix(scheme).split(","))
    for scheme in _SCHEMES:
        if address.startswith(scheme):
            return address.removeprefix(scheme).strip("/") != ""
    match = _HOST_PORT.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        return False
    return match["ipv6"] is None or isinstance(_ip(match["ipv6"]), IPv6Address)


def _is_literal(address: str, family: type[IPv4Address | IPv6Address]) -> bool:
    match = _HOST_PORT.fullmatch(address)
    return _is_usable(address) and match is not None and isinstance(_ip(match["ipv6"] or match["host"]), family)


def _join(addresses: list[str]) -> str:
    """One URI for several addresses: gRPC takes lists only of IP addresses and of Unix sockets."""
    if all(address.startswith("unix:") for address in addresses):
        return "unix:" + ",".join(address.removeprefix("unix:").removeprefix("//") for address in addresses)
    literals = [_literal(address) for address in addresses]
    if all(isinstance(ip, IPv4Address) for ip, _ in literals):
        return "ipv4:" + ",".join(f"{ip}:{port}" for ip, port in literals)
    # A list cannot mix the families, but IPv6 has a form for every IPv4 address.
    return "ipv6:" + ",".join(f"[{_as_ipv6(ip)}]:{port}" for ip, port in literals)


def _literal(address: str) -> tuple[IPv4Address | IPv6Address, str]:
    match = _HOST_PORT.fullmatch(address)
    ip = _ip(match["ipv6"] or match["host"]) if match else None
    if match is None or ip is None:
        raise ValueError(
            "`target`: several servers can be given as IP addresses with ports, or all as 'unix:' sockets. For host "
            "names, give one name that resolves to all of the servers: gRPC balances over them and follows changes. "
            f"Received: {address!r}"
        )
    return ip, match["port"]


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _as_ipv6(ip: IPv4Address | IPv6Address) -> str:
    # `%` sets off the zone of a link-local address and has to be escaped in a URI.
    return f"::ffff:{ip}" if isinstance(ip, IPv4Address) else str(ip).replace("%", "%25")
