"""`rankserve models promote` and the other commands that change which versions answer."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rankserve_client.cli import output
from rankserve_client.cli.completing import model_names, model_versions
from rankserve_client.cli.connection import connect, server_options
from rankserve_client.model_info import ModelInfo
from rankserve_client.serving_changes import (
    DeleteAlias,
    Pin,
    Promote,
    RollBack,
    ServingChange,
    SetAlias,
    SetCanary,
    SetShadow,
    Unpin,
)

_Command = TypeVar("_Command", bound=Callable[..., Any])
# To load a version can take a while; a call that is given up is done all the same.
_TIMEOUT = 300.0

_version = click.argument("version", type=click.IntRange(1), shell_complete=model_versions)
_name = click.option(
    "--model",
    "name",
    metavar="NAME",
    shell_complete=model_names,
    help="The model.  [default: the server's default model]",
)
_some_version = click.argument("version", type=click.IntRange(1), required=False, shell_complete=model_versions)
_percent = click.option("--percent", type=click.FloatRange(0, 100, min_open=True), help="How many of them.")
_end = click.option("--end", is_flag=True, help="Leave all of them to the current version.")


def _changing(command: _Command) -> _Command:
    """The options that all of them have."""
    return _name(server_options(command, _TIMEOUT))


def _change(change: ServingChange, name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    with connect(servers, timeout) as client, output.working("The server makes the change"):
        infos = client.change_serving(change, name)
    for line in _lines(infos):
        click.echo(line)


def _lines(infos: list[ModelInfo]) -> list[str]:
    """What the versions of a model are there for now, those without a task left out."""
    lines = []
    for info in infos:
        tasks = [
            f"answers{', pinned' if info.is_pinned else ''}" if info.is_current else "",
            f"answers {info.canary_percent:g} % of the users" if info.canary_percent else "",
            f"in the shadow of {info.shadow_percent:g} % of the requests" if info.shadow_percent else "",
            *(f"@{alias}" for alias in info.aliases),
        ]
        said = ", ".join(filter(None, tasks))
        if said:
            lines.append(f"{info.name} version {info.version}: {said}")
    return lines


@click.command()
@_version
@_changing
def promote(version: int, name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    """Make VERSION the one that answers, and keep it that until another is promoted or it is unpinned.

    It is loaded first; one that cannot be served is refused, and the old one goes on. A canary of it has then ended.
    """
    _change(Promote(version), name, servers, timeout)


@click.command()
@_changing
def rollback(name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    """Go back to the version that answered before, and keep it."""
    _change(RollBack(), name, servers, timeout)


@click.command()
@_some_version
@_changing
def pin(version: int | None, name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    """Keep VERSION, or the one that answers now, whatever is published."""
    _change(Pin(version), name, servers, timeout)


@click.command()
@_changing
def unpin(name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    """Let the newest version answer, now and whenever another is published."""
    _change(Unpin(), name, servers, timeout)


@click.command()
@click.argument("alias")
@_some_version
@click.option("--delete", is_flag=True, help="Take the name away.")
@_changing
def alias(
    alias: str, version: int | None, delete: bool, name: str | None, servers: tuple[str, ...], timeout: float
) -> None:
    """Give VERSION another name, such as `stable`, or move it there; requests can ask for it."""
    if delete == (version is not None):
        raise click.UsageError("Give either VERSION or --delete.")
    change = DeleteAlias(alias) if version is None else SetAlias(alias, version)
    _change(change, name, servers, timeout)


@click.command()
@_some_version
@_percent
@_end
@_changing
def canary(
    version: int | None, percent: float | None, end: bool, name: str | None, servers: tuple[str, ...], timeout: float
) -> None:
    """Let VERSION answer for a share of the users, who stay with it."""
    _change(SetCanary(*_share(version, percent, end)), name, servers, timeout)


@click.command()
@_some_version
@_percent
@_end
@_changing
def shadow(
    version: int | None, percent: float | None, end: bool, name: str | None, servers: tuple[str, ...], timeout: float
) -> None:
    """Let VERSION score a share of the requests too, unheard.

    `rankserve models` then shows how it would have ranked.
    """
    _change(SetShadow(*_share(version, percent, end)), name, servers, timeout)


def _share(version: int | None, percent: float | None, end: bool) -> tuple[int, float]:
    if end and version is None and percent is None:
        return 0, 0.0
    if end or version is None or percent is None:
        raise click.UsageError("Give either VERSION and --percent, or --end.")
    return version, percent


@click.command()
@click.option("--retry-quarantined", is_flag=True, help="Try versions again that were found to be bad.")
@_changing
def reload(retry_quarantined: bool, name: str | None, servers: tuple[str, ...], timeout: float) -> None:
    """Look for new versions at once. With several workers, one of them does; the others follow by themselves."""
    with connect(servers, timeout) as client, output.working("The server looks for versions"):
        infos = client.reload(name, retry_quarantined=retry_quarantined)
    for line in _lines(infos):
        click.echo(line)
    for info in infos:
        if info.state_message:
            click.echo(f"{info.name} version {info.version} is {info.state}: {info.state_message}", err=True)


COMMANDS = (promote, rollback, pin, unpin, alias, canary, shadow, reload)
