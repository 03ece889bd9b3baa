"""`rankserve models verify`."""

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rankserve_server.storage.models_place import ModelsPlace
from rankserve_server.terminal import is_quiet, working

if TYPE_CHECKING:
    from rankserve_server.loaded_model import LoadedModel
    from rankserve_training.artifact import Manifest

_FILE = click.Path(path_type=Path)
_MAX_TABLE_MIB = 2_048


@click.command()
@click.argument("directory", metavar="DIR|URL", type=ModelsPlace())
@click.option(
    "--trusted-key",
    "trusted_keys",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Pass only a version that the holder of this key (PEM, public) has signed. Can be repeated.",
)
@click.option(
    "--max-table-mib",
    default=_MAX_TABLE_MIB,
    show_default=True,
    type=click.IntRange(0),
    help="As of 'rankserve serve'.",
)
def verify(directory: Path | str, trusted_keys: tuple[Path, ...], max_table_mib: int) -> None:
    """Do with a version what a server does before it serves it, and say whether it would.

    DIR is MODELS_DIR/NAME/VERSION, or MODELS_DIR/NAME for its newest version; in a
    store, a URL. Exit code 0: it would; 1: it would not.

    \b
    Examples:
      rankserve models verify models/movielens
      rankserve models verify models/movielens/3 --trusted-key public.pem
    """
    # Only now: `--help` needs no numpy, and to find damaged files takes no JAX.
    from rankserve_training.artifact import ArtifactError, read_artifact
    from rankserve_training.artifact.signing import read_trusted_keys
    from rankserve_training.artifact.storage.fetching import version_at

    try:
        version = version_at(directory)
        manifest = read_artifact(version, read_trusted_keys(trusted_keys)).manifest
        _print_step("files", _files(manifest))
        _print_step("signature", "of a trusted key" if trusted_keys else "not asked for; --trusted-key FILE does that")
        from rankserve_server.config import user_program_cache
        from rankserve_server.engine.programs import keep_programs_in
        from rankserve_server.loader import VersionLoader

        programs = user_program_cache()  # as a server's, which then starts the sooner
        keep_programs_in(programs)
        started = time.monotonic()
        loader = VersionLoader(lambda: None, max_table_mib=max_table_mib, trusted_keys=trusted_keys, programs=programs)
        with working("Loading and compiling"), closing(loader.forks):
            model = loader.load(version)
        _print_step("model", f"{_model(model)}, in {time.monotonic() - started:.1f} s")
        _print_step("golden", _golden(manifest))
    except ArtifactError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{manifest.name}/{manifest.version} may be served.")


def _print_step(name: str, found: str) -> None:
    if not is_quiet():
        click.echo(f"{name:<10} {found}")


def _files(manifest: "Manifest") -> str:
    size = sum(entry.size for entry in manifest.files.values())
    return f"{len(manifest.files)} of {size:,} bytes, each with the size and SHA-256 of the manifest"


def _model(model: "LoadedModel") -> str:
    """Of what has been loaded."""
    buckets = model.engine.buckets
    return (
        f"{model.manifest.training.architecture} of {len(model.users):,} users and {len(model.catalog):,} items, "
        f"compiled for batches of {buckets[0]:,} to {buckets[-1]:,}"
    )


def _golden(manifest: "Manifest") -> str:
    newcomers = len(manifest.golden_newcomers)
    also = f" and {newcomers} of strangers" if newcomers else ""
    return f"{len(manifest.golden_requests)} requests{also} give the scores that the model was published with"


if __name__ == "__main__":
    verify()
