"""Every knob of the server's security, with its default."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ReflectionMode = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class SecurityConfig:
    """How a server protects itself; each has a flag of `rankserve serve`.

    Attributes:
        tls_cert: the server's certificate and those between it and the root, PEM; None for plaintext.
        tls_key: its key, PEM.
        tls_client_ca: who signs the certificates of clients, PEM; None where clients need none.
        tokens_file: who may call what; None where calls need no token.
        admin_address: `unix:/PATH` or HOST:PORT of this machine, the only place where admin calls are then taken.
        reflection: whether clients may ask what services there are: `auto` where admin calls are taken, `on` on the
            public port in any case. Where there are tokens, it needs one for admins.
        trusted_keys: public keys, PEM; only versions that one of them has signed are then served.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    tokens_file: Path | None = None
    admin_address: str | None = None
    reflection: ReflectionMode = "auto"
    trusted_keys: tuple[Path, ...] = ()
