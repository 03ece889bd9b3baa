"""What is wrong with a server's security, found before anything else is started."""

import errno
import logging
import socket

from rankserve_server.config import ServerConfig
from rankserve_server.security.access import Access
from rankserve_server.security.addresses import UNIX, is_local, is_loopback
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.starting import StartError
from rankserve_training.artifact.errors import ArtifactError

_log = logging.getLogger(__name__)


def check_security(config: ServerConfig) -> None:
    """Refuses what could not work, and warns of what is dangerous; once for a server and all its workers.

    Raises:
        StartError: saying what to do.
    """
    security = config.security
    if (security.tls_cert is None) != (security.tls_key is None):
        raise StartError("--tls-cert and --tls-key belong together")
    if security.tls_client_ca is not None and security.tls_cert is None:
        raise StartError("--tls-client-ca needs --tls-cert and --tls-key: without TLS clients show no certificates")
    if security.admin_address is not None:
        _check_admin_address(security.admin_address, config.workers)
    Access(config)
    _check_trusted_keys(security)
    _warn(config)


def _check_admin_address(address: str, workers: int) -> None:
    if not is_local(address):
        raise StartError(
            f"--admin-address should be unix:/PATH or HOST:PORT of this machine, such as 127.0.0.1:50052, not {address}"
        )
    if workers > 1 and address.startswith(UNIX):
        raise StartError("--admin-address: workers cannot share a Unix socket; give a port, such as 127.0.0.1:50052")
    if _is_taken(address):
        raise StartError(f"cannot listen on --admin-address {address}: is another server there?")


def _is_taken(address: str) -> bool:
    """Whether somebody listens there. gRPC would take a Unix socket away from him, and workers share his port."""
    if address.startswith(UNIX):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(address.removeprefix(UNIX)) == 0
    host, _, port = address.rpartition(":")
    family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _check_trusted_keys(security: SecurityConfig) -> None:
    if not security.trusted_keys:
        return
    from rankserve_training.artifact.signing import read_trusted_keys

    try:
        read_trusted_keys(security.trusted_keys)
    except ArtifactError as error:
        raise StartError(str(error)) from error


def _warn(config: ServerConfig) -> None:
    if is_loopback(config.host):
        return
    security = config.security
    if security.tls_cert is None:
        _log.warning("%s can be reached from elsewhere without TLS: what is sent can be read.", config.address)
    if security.tokens_file is None and security.tls_client_ca is None:
        _log.warning("%s can be reached from elsewhere, and anybody may call: see --tokens-file.", config.address)
