"""What is wrong with a server's security is said in one line before anything else happens."""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from rankserve_server.cli import serve
from rankserve_server.config import ServerConfig
from rankserve_server.security.addresses import is_loopback
from rankserve_server.security.checking import check_security
from rankserve_server.security.scopes import Scope
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.security.tokens import Token, digest_of
from rankserve_server.starting import StartError
from reliability.certificates import Authority

ANYWHERE = "0.0.0.0"  # noqa: S104, nothing listens here


class Files:
    """Whatever a flag may be given, good or bad."""

    def __init__(self, directory: Path) -> None:
        authority = Authority()
        self.directory = directory
        self.cert, self.key = authority.pair().write(directory, "server")
        self.old_cert, self.old_key = authority.pair(days=-1).write(directory, "old")
        self.ca = authority.write(directory)
        self.tokens = self._write("tokens.toml", Token("a", digest_of("b"), [Scope.RANK]).encode().encode())
        self.no_pem = self._write("no.pem", b"not a certificate")
        self.missing = directory / "missing"
        other = rsa.generate_private_key(65_537, 2_048)
        self.encrypted = self._write(
            "encrypted.key", other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
        )
        self.other_key = self._write(
            "other.key", other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self.rsa_public = self._write(
            "rsa.pem", other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        signing = ed25519.Ed25519PrivateKey.generate().public_key()
        self.trusted = self._write("trusted.pem", signing.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("files"))


def config_of(security: SecurityConfig, host: str = "127.0.0.1", workers: int = 1) -> ServerConfig:
    return ServerConfig(host=host, workers=workers, security=security)


def _admin_at(address: str, _: Files) -> SecurityConfig:
    return SecurityConfig(admin_address=address)


REFUSED: dict[str, tuple[Callable[[Files], SecurityConfig], str]] = {
    "no key": (lambda files: SecurityConfig(tls_cert=files.cert), "--tls-cert and --tls-key belong together"),
    "no certificate": (lambda files: SecurityConfig(tls_key=files.key), "--tls-cert and --tls-key belong together"),
    "clients' CA alone": (lambda files: SecurityConfig(tls_client_ca=files.ca), "--tls-client-ca needs --tls-cert"),
    "a missing certificate": (
        lambda files: SecurityConfig(files.missing, files.key),
        "missing cannot be read: No such",
    ),
    "a missing key": (lambda files: SecurityConfig(files.cert, files.missing), "missing cannot be read: No such"),
    "a missing CA": (lambda files: SecurityConfig(files.cert, files.key, files.missing), "missing cannot be read"),
    "no PEM for a certificate": (
        lambda files: SecurityConfig(files.no_pem, files.key),
        "no.pem is not a PEM file of cert",
    ),
    "no PEM for a key": (
        lambda files: SecurityConfig(files.cert, files.no_pem),
        "no.pem is not a PEM file of a private",
    ),
    "no PEM for a CA": (
        lambda files: SecurityConfig(files.cert, files.key, files.no_pem),
        "no.pem is not a PEM file of c",
    ),
    "another key": (
        lambda files: SecurityConfig(files.cert, files.other_key),
        "other.key is not the key of the certif",
    ),
    "an encrypted key": (lambda files: SecurityConfig(files.cert, files.encrypted), "encrypted.key is encrypted"),
    "a directory": (lambda files: SecurityConfig(files.directory, files.key), "cannot be read: Is a directory"),
    "missing tokens": (lambda files: SecurityConfig(tokens_file=files.missing), "missing cannot be read: No such file"),
    "tokens that are none": (lambda files: SecurityConfig(tokens_file=files.no_pem), "no.pem is not a file of tokens"),
    "a missing trusted key": (lambda files: SecurityConfig(trusted_keys=(files.missing,)), "missing cannot be read"),
    "a trusted key of RSA": (lambda files: SecurityConfig(trusted_keys=(files.rsa_public,)), "is not an Ed25519 key"),
    "one bad trusted key": (
        lambda files: SecurityConfig(trusted_keys=(files.trusted, files.no_pem)),
        "of a public key",
    ),
    **{
        f"admin at {address}": (
            partial(_admin_at, address),
            "--admin-address should be unix:/PATH or HOST:PORT of this machine",
        )
        for address in (
            "0.0.0.0:1",
            "192.0.2.1:1",
            "127.0.0.1",
            "127.0.0.1:x",
            "127.0.0.1:70000",
            "unix:",
            "unix:a",
            "[::]:1",
        )
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused(files: Files, case: str) -> None:
    security, message = REFUSED[case]
    with pytest.raises(StartError) as caught:
        check_security(config_of(security(files)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_this_machine_can_reach_a_server_by_default() -> None:
    assert is_loopback(ServerConfig().host)
    shown = CliRunner().invoke(serve, ["--help"]).output
    assert "default: 127.0.0.1" in shown


def test_workers_cannot_share_a_unix_socket(tmp_path: Path) -> None:
    security = SecurityConfig(admin_address=f"unix:{tmp_path}/admin")
    check_security(config_of(security))
    with pytest.raises(StartError, match="workers cannot share a Unix socket"):
        check_security(config_of(security, workers=2))


def test_an_admin_address_that_is_taken(tmp_path: Path) -> None:
    """gRPC would take the socket away from who has it, and workers would share his port."""
    with (
        socket.socket(socket.AF_UNIX) as path,
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as port,
    ):
        path.bind(f"{tmp_path}/admin")
        path.listen()
        for address in (f"unix:{tmp_path}/admin", f"127.0.0.1:{port.getsockname()[1]}"):
            with pytest.raises(StartError, match=f"cannot listen on --admin-address {address}"):
                check_security(config_of(SecurityConfig(admin_address=address)))
    check_security(config_of(SecurityConfig(admin_address=f"unix:{tmp_path}/admin")))  # only its file is left


def test_nothing_is_said_where_all_is_well(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    check_security(config_of(SecurityConfig()))
    check_security(config_of(SecurityConfig(files.cert, files.key, tokens_file=files.tokens), ANYWHERE))
    check_security(config_of(SecurityConfig(files.cert, files.key, files.ca), ANYWHERE))
    check_security(config_of(SecurityConfig(admin_address="127.0.0.1:1", trusted_keys=(files.trusted,)), "::1"))
    check_security(config_of(SecurityConfig(admin_address="[::1]:1"), "localhost"))
    assert not caplog.records


def warnings(caplog: pytest.LogCaptureFixture, config: ServerConfig) -> list[str]:
    caplog.clear()
    check_security(config)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("host", [ANYWHERE, "::"])
def test_a_server_for_anybody_is_warned_of(files: Files, caplog: pytest.LogCaptureFixture, host: str) -> None:
    plain, open_ = warnings(caplog, config_of(SecurityConfig(), host))
    assert "without TLS" in plain
    assert "anybody may call" in open_
    assert warnings(caplog, config_of(SecurityConfig(tokens_file=files.tokens), host)) == [plain]
    assert warnings(caplog, config_of(SecurityConfig(files.cert, files.key), host)) == [open_]


def test_an_expired_certificate_is_warned_of(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    (message,) = warnings(caplog, config_of(SecurityConfig(files.old_cert, files.old_key)))
    assert f"A certificate in {files.old_cert} expired on " in message
