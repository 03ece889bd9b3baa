"""How a client uses TLS."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class Tls:
    """Encrypts the connection and checks that the server is the one that it says it is.

    >>> from rankserve_client import Tls
    >>> Tls(ca_file="ca.crt")  # doctest: +ELLIPSIS
    Tls(ca_file='ca.crt', ...)

    Args:
        ca_file: Who signs the server's certificate, PEM; None for the authorities that this machine trusts.
        cert_file: The client's own certificate, PEM, for servers that ask for one.
        key_file: Its key, PEM.
        server_name: The name that the server's certificate is checked against, where it is not the host of `target`.
    """

    ca_file: str | Path | None = None
    cert_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError(
                "`cert_file` and `key_file` belong together. Received: "
                f"`cert_file` = {self.cert_file!r}, `key_file` = {self.key_file!r}"
            )
        if self.server_name == "":
            raise ValueError("`server_name` must be a host name. Received: `server_name` = ''")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files, now: a client that is to use renewed ones is made anew.

        Raises:
            OSError: One cannot be read.
        """
        cert = None if self.cert_file is None else Path(self.cert_file).read_bytes()
        key = None if self.key_file is None else Path(self.key_file).read_bytes()
        return grpc.ssl_channel_credentials(self._roots(), key, cert)

    def _roots(self) -> bytes | None:
        if self.ca_file is not None:
            return Path(self.ca_file).read_bytes()
        # Without them gRPC would take the authorities that it brings along, which nobody here keeps up to date.
        system = ssl.get_default_verify_paths().cafile
        return None if system is None else Path(system).read_bytes()
