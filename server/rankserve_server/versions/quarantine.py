"""Versions that may not serve, with the reason: kept beside them, so that no restart tries them again.

What was found holds for the files as they were and the release that has tried them. Where the files have changed, as
with a copy that was still going on, or the server has been upgraded, the version is tried again.
"""

import logging
import os
import tempfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import msgspec

from rankserve_training.artifact import ArtifactError

_log = logging.getLogger(__name__)

FOLDER = ".quarantine"
_RELEASE = metadata.version("rankserve")


class QuarantineEntry(msgspec.Struct, frozen=True):
    """Why a version may not serve.

    Attributes:
        reason: for people.
        signature: of its files when that was found; see `signature_of`.
        release: of rankserve, which has found it.
        fault: what kind of fault it is, see `ArtifactError`.
    """

    reason: str
    signature: str
    release: str
    fault: str = ArtifactError.fault


def signature_of(version_dir: Path) -> str:
    """Changes whenever a file of the directory is written, added or removed: names, sizes and times of change."""
    parts = []
    try:
        for path in sorted(version_dir.iterdir()):
            status = path.stat()
            parts.append(f"{path.name}:{status.st_size}:{status.st_mtime_ns}")
    except OSError as error:
        parts.append(f"{type(error).__name__}:{error.errno}")
    return "/".join(parts)


class Quarantine:
    """The quarantined versions of one model."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        # Also where the directory cannot be written: then until the server ends.
        self._entries: dict[int, QuarantineEntry] = {}

    def reason(self, version: int) -> str | None:
        """Why this version, with the files that it has now, may not serve; None where nothing is held against it."""
        entry = self.entry(version)
        return None if entry is None else entry.reason

    def entry(self, version: int) -> QuarantineEntry | None:
        """The same, and what kind of fault it is."""
        entry = self._entries.get(version) or self._read(version)
        if entry is None or entry.release != _RELEASE:
            return None
        return entry if entry.signature == signature_of(self._model_dir / str(version)) else None

    def add(
        self, version: int, reason: str, signature: str, durable: bool = True, fault: str = ArtifactError.fault
    ) -> None:
        """Holds something against a version.

        Args:
            version: which.
            reason: for people.
            signature: of its files before they were tried.
            durable: whether it holds after a restart too: not where the machine is to blame and not the files.
            fault: what kind of fault it is.
        """
        entry = self._entries[version] = QuarantineEntry(reason, signature, _RELEASE, fault)
        if not durable:
            return
        path = self._path(version)
        try:
            path.parent.mkdir(exist_ok=True)
            # Under a name of its own: several workers may find the same at the same time.
            descriptor, scratch = tempfile.mkstemp(prefix=".", dir=path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(entry)) + b"\n")
            Path(scratch).rename(path)
        except OSError as error:
            _log.warning("%s cannot be written, so that a restart will try the version again: %s", path, error.strerror)

    def clear(self) -> None:
        """Forgets everything, so that all versions are tried again."""
        self._entries.clear()
        for path in (self._model_dir / FOLDER).glob("*.json"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("%s cannot be removed, so that its version is not tried again: %s", path, error.strerror)

    def forget(self, version: int) -> None:
        """Forgets what was held against one version, which is not here any more."""
        self._entries.pop(version, None)
        with suppress(OSError):
            self._path(version).unlink(missing_ok=True)

    def _read(self, version: int) -> QuarantineEntry | None:
        try:
            entry = msgspec.json.decode(self._path(version).read_bytes(), type=QuarantineEntry)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):  # an unreadable entry holds nothing against it
            return None
        self._entries[version] = entry
        return entry

    def _path(self, version: int) -> Path:
        return self._model_dir / FOLDER / f"{version}.json"
