"""How the commands that talk to a server find it: their common options and the client."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rankserve_client.client import RankingClient

DEFAULT_SERVER = "127.0.0.1:50051"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def server_options(command: _Command) -> _Command:
    """Adds `--server` and `--timeout`."""
    command = click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=10.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest time to wait for the answer.",
    )(command)
    return click.option(
        "--server",
        "servers",
        multiple=True,
        default=(DEFAULT_SERVER,),
        show_default=True,
        show_envvar=True,
        envvar="RANKSERVE_SERVER",
        metavar="HOST:PORT",
        help="Where the server is. Several: repeat the option, or separate by spaces in the variable.",
    )(command)


def connect(servers: tuple[str, ...], timeout: float) -> RankingClient:
    """A client for the options; a wrong address is a usage error."""
    try:
        return RankingClient(servers, timeout=timeout)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from error
