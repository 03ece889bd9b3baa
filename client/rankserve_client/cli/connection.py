"""How the commands that talk to a server find it and are let in: their common options and the client."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from rankserve_client.cli.setting_names import ClientOption
from rankserve_client.client import RankingClient
from rankserve_client.security import Security
from rankserve_client.tls import Tls

DEFAULT_SERVER = "127.0.0.1:50051"

_Command = TypeVar("_Command", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
# Where the options of security are kept, which no command has to hand through.
_META = "rankserve_client.security"


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    context.meta.setdefault(_META, {})[parameter.name] = value


_option = partial(click.option, cls=ClientOption)
_SERVER = _option(
    "--server",
    "servers",
    multiple=True,
    default=(DEFAULT_SERVER,),
    show_default=True,
    show_envvar=True,
    envvar="RANKSERVE_SERVER",
    metavar="HOST:PORT",
    help="Where the server is. Several: repeat the option, or separate by spaces in the variable.",
)
_TIMEOUT = 10.0
_SECURITY = (
    _option(
        "--tls",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Use TLS, with the authorities that this machine trusts. The other --tls options imply it.",
    ),
    _option(
        "--tls-ca",
        type=_FILE,
        expose_value=False,
        callback=_keep,
        metavar="FILE",
        help="Who signs the server's certificate (PEM).",
    ),
    _option(
        "--tls-cert",
        type=_FILE,
        expose_value=False,
        callback=_keep,
        metavar="FILE",
        help="A certificate of your own (PEM), for servers that ask for one.",
    ),
    _option(
        "--tls-key", type=_FILE, expose_value=False, callback=_keep, metavar="FILE", help="The certificate's key (PEM)."
    ),
    _option(
        "--tls-server-name",
        expose_value=False,
        callback=_keep,
        metavar="NAME",
        help="The name in the server's certificate, where it is not the host of --server.",
    ),
    _option(
        "--token-file",
        type=_FILE,
        expose_value=False,
        callback=_keep,
        show_envvar=True,
        envvar="RANKSERVE_TOKEN_FILE",
        metavar="FILE",
        help="Holds the token that the server asks for.",
    ),
    _option(
        "--insecure-token",
        is_flag=True,
        expose_value=False,
        callback=_keep,
        help="Send the token without TLS to another machine, where everybody on the way can read it.",
    ),
)


def server_options(command: _Command, timeout: float = _TIMEOUT) -> _Command:
    """Adds `--server` and `--timeout`, which the command gets, and the options of security, which `connect` uses.

    Args:
        command: what they are added to.
        timeout: the default, in seconds.
    """
    for option in reversed((_SERVER, _timeout(timeout), *_SECURITY)):
        command = option(command)
    return command


def _timeout(default: float) -> Callable[[_Command], _Command]:
    return _option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="Longest time to wait for the answer.",
    )


def connect(servers: tuple[str, ...], timeout: float) -> RankingClient:
    """A client for the options of the running command; a wrong address is a usage error."""
    security = security_of_options()
    try:
        return RankingClient(servers, timeout=timeout, **security.arguments())
    except ValueError as error:
        raise wrong_option(error) from error


def security_of_options() -> Security:
    """What the options of the running command say."""
    given = click.get_current_context().meta.get(_META, {})
    names = {"ca_file": "tls_ca", "cert_file": "tls_cert", "key_file": "tls_key", "server_name": "tls_server_name"}
    arguments = {argument: given[option] for argument, option in names.items() if given.get(option) is not None}
    try:
        tls = Tls(**arguments) if arguments else bool(given.get("tls"))
    except ValueError as error:
        raise click.UsageError("--tls-cert and --tls-key belong together.") from error
    return Security(tls, given.get("token_file"), bool(given.get("insecure_token")))


def wrong_option(error: ValueError) -> click.BadParameter:
    """What the client says of its arguments, in the words of the command line."""
    message = str(error)
    if message.startswith("`token_file` "):
        return click.BadParameter(message.removeprefix("`token_file` "), param_hint="--token-file")
    return click.BadParameter(_in_options(message), param_hint="--server")


def _in_options(message: str) -> str:
    return message.replace("set `insecure_token` to True", "give --insecure-token").replace("`tls`", "--tls")
