"""The options of `rankserve serve` for models in a store."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import click

from rankserve_server.config import ServerConfig
from rankserve_server.connection_options import Seconds

_Command = TypeVar("_Command", bound=Callable[..., Any])
_DEFAULTS = ServerConfig()


class Placed(TypedDict):
    """Fields of `ServerConfig`."""

    models_dir: Path
    store_url: str | None


def storage_options(command: _Command) -> _Command:
    """Adds them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def placed(place: Path | str, cache: Path | None) -> Placed:
    """Where a server finds its versions, and which store they come from.

    Raises:
        click.ClickException: where there is no place for a cache.
    """
    if isinstance(place, Path):
        return Placed(models_dir=place, store_url=None)
    from rankserve_training.artifact.storage.errors import StoreError
    from rankserve_training.artifact.storage.place import cache_of

    try:
        return Placed(models_dir=cache_of(place, cache), store_url=place)
    except StoreError as error:
        raise click.ClickException(str(error)) from error


_OPTIONS = (
    click.option(
        "--models-cache",
        type=click.Path(path_type=Path, file_okay=False),
        help="With a store: where its versions are copied to. Servers of the same --keep-versions may share it."
        "  [default: rankserve/models in the user's cache]",
    ),
    click.option(
        "--store-seconds",
        default=_DEFAULTS.store_seconds,
        show_default=True,
        type=Seconds(),
        help="With a store: how often to look for new versions in it; 0 for never.",
    ),
    click.option(
        "--max-version-mib",
        default=_DEFAULTS.max_version_mib,
        show_default=True,
        type=click.IntRange(1),
        help="With a store: how large a version may be that is copied from it.",
    ),
)
