"""TFDS' own MovieLens builders: are they prepared, preparing them, and where their records are."""

from pathlib import Path
from typing import Any

from rankserve_training.data.movielens_records import Records
from rankserve_training.data.movielens_sets import MovielensSet
from rankserve_training.data.tfds_quiet import no_prints


class MovielensBuilders:
    """The two builders of a data set: of its ratings and of its movies."""

    def __init__(self, tfds: Any, movielens_set: MovielensSet, data_dir: Path | None = None) -> None:
        """Builders like those that `tfds.load` uses.

        Args:
            tfds: the module.
            movielens_set: which data set.
            data_dir: the TFDS data directory; None is TFDS' default.
        """
        self._tfds = tfds
        self._set = movielens_set
        self._data_dir = data_dir

    @property
    def is_prepared(self) -> bool:
        """Whether both the ratings and the movies are there.

        TFDS gives a directory its name only when it is complete, so one that is there is whole.
        """
        return all(builder.is_prepared() for builder in self._both())

    @property
    def root(self) -> Path:
        """The TFDS data directory itself."""
        # DATA_DIR/movielens/CONFIG/VERSION
        return Path(self._ratings().data_path).parents[2]

    @property
    def downloads(self) -> Path:
        """Where TFDS puts what is downloaded."""
        return self.root / "downloads"

    @property
    def archive(self) -> Path:
        """Where TFDS looks by itself for an archive that a user has downloaded by hand."""
        return self.downloads / "manual" / self.archive_url.rpartition("/")[2]

    @property
    def archive_url(self) -> str:
        """Where GroupLens has the archive."""
        return str(self._ratings().builder_config.download_url)

    @property
    def archive_sha256(self) -> str:
        """The hash that TFDS has registered for GroupLens' archive, hexadecimal."""
        return str(self._ratings().url_infos[self.archive_url].checksum)

    @property
    def used_archive(self) -> bool:
        """Whether what is prepared came out of the archive: TFDS keeps its size, and where files were used is none."""
        return int(self._ratings().info.download_size) > 0

    def prepare(self) -> None:
        """Lets TFDS prepare what is missing, from the archive in its directory for manual downloads."""
        for builder in self._both():
            with no_prints():
                builder.download_and_prepare()

    def prepare_from_files(self, files: Path) -> None:
        """Lets TFDS prepare what is missing from files in a directory, as if it had unpacked them from the archive."""
        for builder in self._both():
            with no_prints():
                self._reading_from(builder, files).download_and_prepare()

    def ratings(self) -> Records:
        """The records of the ratings, which must be prepared."""
        return _records(self._ratings())

    def movies(self) -> Records:
        """The records of the movies, likewise."""
        return _records(self._movies())

    def genre_names(self) -> list[str]:
        """The genre that each number in the records of the movies stands for."""
        return list(self._movies().info.features["movie_genres"].feature.names)

    def _ratings(self) -> Any:
        return self._tfds.builder(f"movielens/{self._set.ratings_config}", **self._options())

    def _movies(self) -> Any:
        return self._tfds.builder(f"movielens/{self._set.movies_config}", **self._options())

    def _both(self) -> tuple[Any, Any]:
        return self._ratings(), self._movies()

    def _options(self) -> dict[str, str]:
        return {} if self._data_dir is None else {"data_dir": str(self._data_dir)}

    def _reading_from(self, builder: Any, files: Path) -> Any:
        """A builder that differs from TFDS' own only in where its files come from.

        TFDS has no public way to prepare from a directory: an archive of rebuilt files would fail the check of its
        hash. But `_split_generators` is the method that TFDS documents for a builder to say where its data is, and this
        is all that has to change; parsing, features, encoding and file names stay TFDS' own.
        """
        original = type(builder)

        class LocalMovielens(original, skip_registration=True):  # type: ignore[call-arg, misc, valid-type]  # a class that TFDS gives
            name = original.name

            def _split_generators(self, dl_manager: Any) -> dict[str, Any]:  # noqa: ARG002  # TFDS' signature
                return {"train": self._generate_examples(str(files))}

        # TFDS notes the module in dataset_info.json, and finds a builder's registered downloads by it.
        LocalMovielens.__module__ = original.__module__
        return LocalMovielens(config=builder.builder_config.name, **self._options())


def _records(builder: Any) -> Records:
    split = builder.info.splits["train"]
    return Records(Path(builder.data_path), tuple(map(str, split.filepaths)), int(split.num_examples))
