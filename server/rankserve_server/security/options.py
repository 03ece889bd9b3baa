"""The flags of `rankserve serve` that are about security."""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, get_args

import click

from rankserve_server.security.security_config import ReflectionMode, SecurityConfig

_FILE = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--tls-cert", type=_FILE, metavar="FILE", help="Take TLS only, with this certificate chain (PEM)."),
    click.option("--tls-key", type=_FILE, metavar="FILE", help="The certificate's key (PEM)."),
    click.option(
        "--tls-client-ca",
        type=_FILE,
        metavar="FILE",
        help="Take only clients with a certificate that one of these (PEM) has signed.",
    ),
    click.option(
        "--tokens-file",
        type=_FILE,
        metavar="FILE",
        help="Take only calls with a token of this file; 'rankserve token' writes it.",
    ),
    click.option(
        "--admin-address",
        metavar="ADDRESS",
        help="Take admin calls at this address of the machine only: unix:/PATH or 127.0.0.1:PORT.",
    ),
    click.option(
        "--reflection",
        default="auto",
        show_default=True,
        type=click.Choice(get_args(ReflectionMode)),
        help="Tell clients what services there are: where admin calls are taken, on the public port, or nowhere. With "
        "tokens, admins only.",
    ),
    click.option(
        "--trusted-key",
        "trusted_keys",
        type=_FILE,
        multiple=True,
        metavar="FILE",
        help="Serve only versions that the holder of this key (PEM, public) has signed. Can be repeated.",
    ),
)
_NAMES = ("tls_cert", "tls_key", "tls_client_ca", "tokens_file", "admin_address", "reflection", "trusted_keys")


def security_of(values: Mapping[str, Any]) -> SecurityConfig:
    """What the flags say, among the values of the other parameters of the command."""
    return SecurityConfig(**{name: values[name] for name in _NAMES})


def security_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the flags; the command gets them as `security`, a SecurityConfig."""

    @wraps(command)
    def with_security(**values: Any) -> None:
        security = security_of(values)
        for name in _NAMES:
            del values[name]
        command(security=security, **values)

    for option in reversed(_OPTIONS):
        with_security = option(with_security)
    return with_security
