"""How a failure of training becomes one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def one_line_failures() -> Iterator[None]:
    """Turns what the user can mend into a `click.ClickException`."""
    # Only now: with its errors a package imports itself, and with that numpy.
    from rankserve_training.artifact.errors import ArtifactError
    from rankserve_training.data.errors import DataError
    from rankserve_training.errors import MissingExtraError
    from rankserve_training.presets import UnknownPresetError
    from rankserve_training.towers.errors import CheckpointError

    try:
        yield
    except (ArtifactError, CheckpointError, DataError, MissingExtraError, UnknownPresetError) as error:
        raise click.ClickException(str(error)) from error
