"""Publishing a version to a store: its number is claimed, its files are written, and its manifest last.

Whoever reads takes no notice of a version without a manifest, so that a publisher may be killed at any time. A number
that was claimed once is not given to anybody else.
"""

import json
import logging
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.json_files import LARGEST_JSON
from rankserve_training.artifact.manifest import MANIFEST_FILE, Manifest, read_manifest
from rankserve_training.artifact.publish import check_place, publish, write_entries, write_manifest
from rankserve_training.artifact.storage.errors import StoreError, TakenError
from rankserve_training.artifact.storage.store import Store
from rankserve_training.artifact.versions import check_name, is_version

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CLAIM_FILE = ".claim"
_LARGEST_CLAIM = 4_096
# What a publisher has not finished after so long, it never will.
_ABANDONED = timedelta(days=1)
_log = logging.getLogger(__name__)


class PublishedVersion(NamedTuple):
    """A version that is there now.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION; a URL where that is one.
        manifest: what it says of itself.
    """

    directory: Path | str
    manifest: Manifest


def check_anywhere(place: Path | str, name: str) -> None:
    """As `check_place`, for a store as well: it has to be readable, and one of S3's kind writable.

    Raises:
        ArtifactError: saying why nothing could be published.
    """
    if isinstance(place, Path):
        check_place(place, name)
        return
    check_name(name)
    store = Store(place)
    _next_number(store.used_numbers(name), f"{place}/{name}")
    store.check_writable(name)


def publish_anywhere(
    place: Path | str,
    name: str,
    write_files: Callable[[Path], None],
    manifest: Manifest,
    sign_key: "Ed25519PrivateKey | None" = None,
) -> PublishedVersion:
    """As `publish`, to a directory or to the store of a URL.

    Raises:
        ArtifactError: where the name is not usable, a reader would refuse the manifest, or the store does not take it.
        OSError: where the disk does not take it; a version is put together on it before it goes to a store.
    """
    if isinstance(place, Path):
        directory = publish(place, name, write_files, manifest, sign_key)
        return PublishedVersion(directory, read_manifest(directory / MANIFEST_FILE))
    check_name(name)
    with tempfile.TemporaryDirectory(prefix="rankserve-") as scratch:
        directory = Path(scratch)
        files = write_entries(directory, write_files)
        publisher = StorePublisher(place, name)
        version = publisher.claim()
        try:
            complete = msgspec.structs.replace(manifest, name=name, version=version, files=files)
            write_manifest(directory, complete, sign_key)
            publisher.upload(directory, version)
        except BaseException:
            publisher.give_up(version)
            raise
        publisher.finish(version, (directory / MANIFEST_FILE).read_bytes())
        return PublishedVersion(f"{place}/{name}/{version}", read_manifest(directory / MANIFEST_FILE))


def _next_number(used: list[int], where: str) -> int:
    """One more than the newest one.

    Raises:
        ArtifactError: where no reader would take that for the number of a version.
    """
    version = max(used, default=0) + 1
    if not is_version(str(version)):
        raise ArtifactError(f"{where} has {version - 1}, and no larger number can be that of a version; remove it")
    return version


class StorePublisher:
    """Publishes one version of one model."""

    def __init__(self, url: str, name: str) -> None:
        """Asks the store nothing yet."""
        self._store = Store(url)
        self._name = name
        self._claim = json.dumps({"publisher": str(uuid.uuid4()), "since": datetime.now(UTC).isoformat()}).encode()

    def claim(self) -> int:
        """The next free number, which is now this publisher's.

        Raises:
            StoreError: where the store does not take it.
        """
        used = self._store.used_numbers(self._name)
        self._remove_abandoned(used)
        version = _next_number(used, f"{self._store.url}/{self._name}")
        while True:
            try:
                self._store.create(self._path(version, CLAIM_FILE), self._claim)
            except TakenError:
                version += 1
            else:
                return version

    def upload(self, directory: Path, version: int) -> None:
        """Writes the files of a directory, but for the manifest.

        Raises:
            StoreError: where the store does not take it.
        """
        for path in sorted(directory.iterdir()):
            if path.name != MANIFEST_FILE:
                self._store.upload(path, self._path(version, path.name))

    def finish(self, version: int, content: bytes) -> None:
        """Writes the manifest: from here on readers see the version.

        Raises:
            StoreError: where the store does not take it. Where its answer was lost, the version may be there.
        """
        if self._store.read(self._path(version, CLAIM_FILE), _LARGEST_CLAIM) != self._claim:
            where = f"{self._store.url}/{self._name}/{version}"
            raise StoreError(f"{where} was taken for abandoned meanwhile, and removed; publish again")
        manifest = self._path(version, MANIFEST_FILE)
        try:
            self._store.create(manifest, content)
        except TakenError:
            # Where the answer to a first try was lost, it is our own.
            if self._store.read(manifest, LARGEST_JSON) != content:
                raise

    def give_up(self, version: int) -> None:
        """Removes what was written of a version that will not be finished."""
        try:
            self._store.remove(f"{self._name}/{version}")
        except ArtifactError as error:
            _log.warning("What was written of %s/%d stays in the store, unseen: %s", self._name, version, error)

    def _remove_abandoned(self, used: list[int]) -> None:
        """What killed publishers left; the newest number stays claimed, so that none is given twice."""
        whole = self._store.versions(self._name).get(self._name, {})
        for version in used[:-1]:
            if version not in whole and self._is_abandoned(version):
                self.give_up(version)

    def _is_abandoned(self, version: int) -> bool:
        content = self._store.read(self._path(version, CLAIM_FILE), _LARGEST_CLAIM)
        if content is None:  # copied here by other means, which may still go on
            return False
        try:
            since = datetime.fromisoformat(json.loads(content)["since"])
            return datetime.now(UTC) - since > _ABANDONED
        except (ValueError, KeyError, TypeError):
            return False

    def _path(self, version: int, file: str) -> str:
        return f"{self._name}/{version}/{file}"
