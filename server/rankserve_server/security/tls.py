"""The server's side of TLS: certificates that follow their files."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from rankserve_server.security.reloaded import FileError, Reloaded, read_file

_log = logging.getLogger(__name__)


def server_credentials(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCredentials:
    """Credentials for a port; every new connection gets what the files then hold.

    Args:
        cert: the server's certificate first, then those between it and the root.
        key: its key.
        client_ca: who signs the certificates that clients have to show; None where they need none.

    Raises:
        FileError: where a file cannot be used.
    """
    paths = [path for path in (cert, key, client_ca) if path is not None]
    files = Reloaded(paths, lambda: _read(cert, key, client_ca))

    def changed() -> grpc.ServerCertificateConfiguration | None:
        return files.content if files.refresh() else None

    return grpc.dynamic_ssl_server_credentials(
        files.content,
        changed,  # type: ignore[arg-type]  # None is for no change, which the stubs do not know
        client_ca is not None,
    )


def _read(cert: Path, key: Path, client_ca: Path | None) -> grpc.ServerCertificateConfiguration:
    chain, private_key = read_file(cert), read_file(key)
    roots = None if client_ca is None else read_file(client_ca)
    _check_pair(_certificates(cert, chain)[0], cert, private_key, key)
    if client_ca is not None and roots is not None:
        _certificates(client_ca, roots)
    return grpc.ssl_server_certificate_configuration([(private_key, chain)], roots)


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise FileError(f"{path} is not a PEM file of certificates") from error
    _warn_of_dates(path, certificates)
    return certificates


def _check_pair(certificate: x509.Certificate, cert: Path, private_key: bytes, key: Path) -> None:
    try:
        public_key = serialization.load_pem_private_key(private_key, password=None).public_key()
    except TypeError as error:
        raise FileError(f"{key} is encrypted; the server has nobody to ask for its password") from error
    except ValueError as error:
        raise FileError(f"{key} is not a PEM file of a private key") from error
    if public_key != certificate.public_key():
        raise FileError(f"{key} is not the key of the certificate in {cert}")
    if not isinstance(public_key, RSAPublicKey | EllipticCurvePublicKey):
        raise FileError(f"{key} is neither an RSA nor an EC key, which is what gRPC takes")


def _warn_of_dates(path: Path, certificates: list[x509.Certificate]) -> None:
    now = datetime.now(UTC)
    for certificate in certificates:
        if certificate.not_valid_after_utc < now:
            _log.warning("A certificate in %s expired on %s.", path, certificate.not_valid_after_utc)
        elif certificate.not_valid_before_utc > now:
            _log.warning("A certificate in %s is valid only from %s on.", path, certificate.not_valid_before_utc)
