"""MovieLens 100K through TFDS, whether or not GroupLens can be reached."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rankserve_training.data import grouplens, movielens_builder, recbole_wheel
from rankserve_training.data.dataset import Dataset, RatingScale
from rankserve_training.data.errors import DataError
from rankserve_training.data.file_hash import check_sha256
from rankserve_training.data.file_lock import file_lock
from rankserve_training.data.original_files import write_original_files
from rankserve_training.data.tfds_quiet import quiet_tfds

NAME = "movielens/100k"
SCALE = RatingScale(1.0, 5.0)

_WAYS_OUT = (
    "either prepare movielens/100k-ratings and movielens/100k-movies with TFDS where there is a network and set "
    "TFDS_DATA_DIR to that directory, or train on a file of your own with --ratings FILE"
)


@dataclass(frozen=True)
class Sources:
    """Where MovieLens 100K is fetched from if it is not prepared yet.

    Attributes:
        archive_url: GroupLens' archive.
        probe_seconds: how long to wait for a sign of life from there.
        silence_seconds: how long the download may stall.
        pip_options: more options for `pip download`, which fetches from the user's configured index.
    """

    archive_url: str = grouplens.ARCHIVE_URL
    probe_seconds: float = 5.0
    silence_seconds: float = 20.0
    pip_options: tuple[str, ...] = ()


def load_movielens(
    *,
    data_dir: Path | None = None,
    announce: Callable[[str], None] | None = None,
    sources: Sources = Sources(),
) -> Dataset:
    """MovieLens 100K as `tfds.load("movielens/100k-ratings")` and `"movielens/100k-movies"` give it, in their order.

    Once prepared, it is read from disk without any use of the network. Otherwise it is downloaded from GroupLens or,
    where that cannot be reached, rebuilt from the package `recbole` of the configured package index; the examples are
    the same. Safe to call from several processes at once, and to interrupt at any time.

    Args:
        data_dir: the TFDS data directory; None is TFDS' default, which heeds `TFDS_DATA_DIR`.
        announce: called with one line that says where the data is fetched from; not called if nothing is fetched.
        sources: where it is fetched from.

    Raises:
        DataError: if it can be fetched from neither source, or what is prepared is damaged.
    """
    with quiet_tfds() as tfds:
        if not movielens_builder.is_prepared(tfds, data_dir):
            _prepare(tfds, data_dir, announce or _say_nothing, sources)
        ratings, users = movielens_builder.read_ratings(tfds, data_dir)
        items = movielens_builder.read_items(tfds, data_dir)
        rebuilt = movielens_builder.is_rebuilt(tfds, data_dir)
    return Dataset(
        name=NAME,
        source=f"TFDS, rebuilt from {recbole_wheel.REQUIREMENT}" if rebuilt else "TFDS, downloaded from GroupLens",
        ratings=ratings,
        test_ratings=None,
        items=items,
        users=users,
        scale=SCALE,
    )


def _say_nothing(_: str) -> None:
    pass


def _prepare(tfds: Any, data_dir: Path | None, announce: Callable[[str], None], sources: Sources) -> None:
    root = movielens_builder.root(tfds, data_dir)
    try:
        with file_lock(root / "downloads" / "movielens-100k.lock"):
            # Another process may have done it while this one waited.
            if not movielens_builder.is_prepared(tfds, data_dir):
                _fetch_and_prepare(tfds, data_dir, root / "downloads", announce, sources)
    except OSError as error:
        # A process that does not know of the lock, such as a plain tfds.load, may have been faster.
        if not movielens_builder.is_prepared(tfds, data_dir):
            raise DataError(f"MovieLens 100K cannot be prepared in {root}: {error}") from error


def _fetch_and_prepare(
    tfds: Any, data_dir: Path | None, downloads: Path, announce: Callable[[str], None], sources: Sources
) -> None:
    # Where TFDS looks by itself for what a user has downloaded by hand.
    archive = downloads / "manual" / "ml-100k.zip"
    if archive.is_file():
        announce(f"MovieLens 100K: using {archive}")
        check_sha256(archive, movielens_builder.archive_sha256(tfds), str(archive))
        movielens_builder.prepare(tfds, data_dir)
        return
    host = urlsplit(sources.archive_url).hostname
    trouble = grouplens.probe(sources.archive_url, sources.probe_seconds)
    if trouble is None:
        announce(f"MovieLens 100K: downloading from {host}")
        try:
            _download(tfds, archive, sources)
        except DataError as error:
            trouble = str(error)
        else:
            movielens_builder.prepare(tfds, data_dir)
            return
    announce(
        f"MovieLens 100K: {host} cannot be reached, rebuilding it from {recbole_wheel.REQUIREMENT} (package index)"
    )
    try:
        wheel = recbole_wheel.fetch_wheel(downloads, pip_options=sources.pip_options)
    except DataError as error:
        raise DataError(
            f"MovieLens 100K cannot be fetched, neither from {host} ({trouble}) nor from the package index ({error}): "
            f"{_WAYS_OUT}"
        ) from error
    _rebuild(tfds, data_dir, wheel)


def _download(tfds: Any, archive: Path, sources: Sources) -> None:
    """Downloads the archive to where TFDS looks for it.

    Not TFDS' own download: that has no timeout, so a host that stalls would hold it for ever. TFDS' registered hash is
    checked here and again by TFDS.
    """
    sha256 = movielens_builder.archive_sha256(tfds)
    grouplens.download(sources.archive_url, archive, sha256, sources.silence_seconds)


def _rebuild(tfds: Any, data_dir: Path | None, wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="rankserve-ml-100k-") as temporary:
        files = Path(temporary) / "ml-100k"
        write_original_files(recbole_wheel.read_wheel(wheel), files)
        movielens_builder.prepare_from_files(tfds, data_dir, files)
