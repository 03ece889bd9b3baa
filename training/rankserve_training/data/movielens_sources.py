"""Where MovieLens comes from if it is not prepared yet: GroupLens, or a second source."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rankserve_training.data import grouplens, recbole_wheel
from rankserve_training.data.errors import DataError
from rankserve_training.data.file_hash import check_sha256
from rankserve_training.data.file_lock import file_lock
from rankserve_training.data.movielens_builder import MovielensBuilders
from rankserve_training.data.movielens_sets import MovielensSet
from rankserve_training.data.original_files import write_original_files

# TFDS works through the ratings one by one; where that takes several minutes, it is announced.
_PREPARED_A_MINUTE = 1_000_000


@dataclass(frozen=True)
class Sources:
    """Where MovieLens is fetched from.

    Attributes:
        archive_url: the archive; None is GroupLens' own, as TFDS has it.
        probe_seconds: how long to wait for a sign of life from there.
        silence_seconds: how long the download may stall.
        pip_options: more options for `pip download`, which fetches from the user's configured index.
    """

    archive_url: str | None = None
    probe_seconds: float = 5.0
    silence_seconds: float = 20.0
    pip_options: tuple[str, ...] = ()


USUAL_SOURCES = Sources()


@dataclass(frozen=True)
class Preparation:
    """Getting one data set ready to be read.

    Attributes:
        movielens_set: which one.
        builders: that prepare it.
        sources: where it is fetched from.
        announce: called with a line that says where the data is fetched from, and with another where preparing it takes
            minutes.
    """

    movielens_set: MovielensSet
    builders: MovielensBuilders
    sources: Sources
    announce: Callable[[str], None]

    def ensure(self) -> None:
        """Fetches and prepares the data set unless it is prepared, by this process or by another one meanwhile.

        Raises:
            DataError: if it can be fetched from no source, or cannot be written.
        """
        if self.builders.is_prepared:
            return
        try:
            with file_lock(self.builders.downloads / f"movielens-{self.movielens_set.size}.lock"):
                # Another process may have done it while this one waited.
                if not self.builders.is_prepared:
                    self._fetch_and_prepare()
        except OSError as error:
            # A process that does not know of the lock, such as a plain tfds.load, may have been faster.
            if not self.builders.is_prepared:
                raise DataError(f"{self._title} cannot be prepared in {self.builders.root}: {error}") from error

    @property
    def _title(self) -> str:
        return self.movielens_set.title

    @property
    def _url(self) -> str:
        return self.sources.archive_url or self.builders.archive_url

    @property
    def _host(self) -> str | None:
        return urlsplit(self._url).hostname

    def _fetch_and_prepare(self) -> None:
        trouble = self._get_archive()
        if trouble is None:
            self._announce_minutes()
            self.builders.prepare()
        elif self.movielens_set.is_in_recbole:
            self._rebuild(trouble)
        else:
            raise DataError(
                f"{self._title} cannot be fetched from {self._host} ({trouble}): either download {self._url} by hand "
                f"and put it at {self.builders.archive}, or train on a file of your own with --ratings FILE"
            )

    def _get_archive(self) -> str | None:
        """Makes the archive be where TFDS looks for it. None if that went well; otherwise why not, in a few words."""
        archive = self.builders.archive
        if archive.is_file():
            self.announce(f"{self._title}: using {archive}")
            check_sha256(archive, self.builders.archive_sha256, str(archive))
            return None
        return grouplens.probe(self._url, self.sources.probe_seconds) or self._download()

    def _download(self) -> str | None:
        """Not TFDS' own download: that has no timeout, so a host that stalls would hold it for ever.

        TFDS' registered hash is checked here and again by TFDS.
        """
        self.announce(f"{self._title}: downloading from {self._host}")
        try:
            grouplens.download(
                self._url, self.builders.archive, self.builders.archive_sha256, self.sources.silence_seconds
            )
        except DataError as error:
            return str(error)
        return None

    def _announce_minutes(self) -> None:
        minutes = self.movielens_set.rating_count // _PREPARED_A_MINUTE
        if minutes > 1:
            self.announce(f"{self._title}: preparing it with TFDS, once; some {minutes} minutes")

    def _rebuild(self, trouble: str) -> None:
        self.announce(
            f"{self._title}: {self._host} cannot be reached, rebuilding it from {recbole_wheel.REQUIREMENT} "
            "(package index)"
        )
        try:
            wheel = recbole_wheel.fetch_wheel(self.builders.downloads, pip_options=self.sources.pip_options)
        except DataError as error:
            raise DataError(
                f"{self._title} cannot be fetched, neither from {self._host} ({trouble}) nor from the package index "
                f"({error}): either prepare {self.movielens_set.name}-ratings and {self.movielens_set.name}-movies "
                "with TFDS where there is a network and set TFDS_DATA_DIR to that directory, or train on a file of "
                "your own with --ratings FILE"
            ) from error
        with tempfile.TemporaryDirectory(prefix="rankserve-ml-100k-") as temporary:
            files = Path(temporary) / "ml-100k"
            write_original_files(recbole_wheel.read_wheel(wheel), files)
            self.builders.prepare_from_files(files)
