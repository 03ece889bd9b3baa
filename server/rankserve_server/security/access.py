"""What a server opens of its security once, and its ports share."""

from typing import TYPE_CHECKING

from rankserve_server.config import ServerConfig
from rankserve_server.security.addresses import is_loopback
from rankserve_server.security.gate import Gate
from rankserve_server.security.reloaded import FileError
from rankserve_server.security.tokens import Tokens
from rankserve_server.starting import StartError

if TYPE_CHECKING:
    import grpc


class Access:
    """The way in.

    Attributes:
        credentials: of the public port; None for plaintext.
        gate: before the calls of the public port; None where everybody may call everything.
        admin_gate: before those of the admin address; likewise.
        reflection: whether the public port has it.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Reads the files.

        Raises:
            StartError: where one cannot be used.
        """
        security = config.security
        try:
            self.credentials = _credentials(config)
            tokens = None if security.tokens_file is None else Tokens(security.tokens_file)
        except FileError as error:
            raise StartError(str(error)) from error
        no_admin = _no_admin(config)
        self.gate = Gate(tokens, no_admin) if tokens or no_admin else None
        self.admin_gate = Gate(tokens, None) if tokens else None
        self.reflection = security.reflection == "on" or (
            security.reflection == "auto" and security.admin_address is None
        )


def _credentials(config: ServerConfig) -> "grpc.ServerCredentials | None":
    security = config.security
    if security.tls_cert is None or security.tls_key is None:
        return None
    # Certificates are read with a library that a server without TLS need not import.
    from rankserve_server.security.tls import server_credentials

    return server_credentials(security.tls_cert, security.tls_key, security.tls_client_ca)


def _no_admin(config: ServerConfig) -> str | None:
    """Why the public port takes no admin calls; None where it does."""
    security = config.security
    if security.admin_address is not None:
        return "this server takes admin calls at its --admin-address only"
    if security.tokens_file is None and not is_loopback(config.host):
        return (
            "anybody can reach this server, so it takes admin calls only with a token (start it with --tokens-file) or "
            "from its own machine (--admin-address)"
        )
    return None
