"""Certificates for tests: an authority, and what it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_ADDRESSES = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """NAME.crt and NAME.key."""
        cert, key = directory / f"{name}.crt", directory / f"{name}.key"
        cert.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return cert, key


class Authority:
    """Signs certificates for this machine."""

    def __init__(self, name: str = "rankserve tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = _pem(_builder(self._name, self._name, self._key, ca=True).sign(self._key, hashes.SHA256()))

    def write(self, directory: Path, name: str = "ca") -> Path:
        """NAME.crt, which others trust."""
        path = directory / f"{name}.crt"
        path.write_bytes(self.certificate)
        return path

    def pair(self, name: str = "server", *, days: int = 30) -> Pair:
        """A certificate for 127.0.0.1 and localhost; negative days make one that has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), self._name, key, days=days)
        certificate = builder.add_extension(x509.SubjectAlternativeName(_ADDRESSES), critical=False)
        return Pair(
            _pem(certificate.sign(self._key, hashes.SHA256())),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def channel_credentials(self, client: Pair | None = None) -> grpc.ChannelCredentials:
        """Of a client that trusts this authority."""
        return grpc.ssl_channel_credentials(
            self.certificate, client.key if client else None, client.certificate if client else None
        )

    @classmethod
    def other(cls) -> Self:
        """One that nobody trusts."""
        return cls("somebody else")


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool = False,
    days: int = 30,
) -> x509.CertificateBuilder:
    end = datetime.now(UTC) + days * _DAY
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(end, datetime.now(UTC)) - _DAY)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
