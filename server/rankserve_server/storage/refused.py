"""Versions of a store that were found to be bad when they were copied: a directory with the reason alone.

It is quarantined like any version that cannot be loaded, and not copied again before its objects, or the release of
rankserve, have changed.
"""

import tempfile
from importlib import metadata
from pathlib import Path

import msgspec

from rankserve_server.versions.quarantine import Quarantine, signature_of
from rankserve_training.artifact.storage.fetching import fsync

FILE = ".refused"
_RELEASE = metadata.version("rankserve")


class Refused(msgspec.Struct, frozen=True):
    """Why a version was not copied.

    Attributes:
        reason: for people.
        fault: see `ArtifactError`.
        tag: of its objects.
        release: of rankserve, which has found it.
    """

    reason: str
    fault: str
    tag: str
    release: str

    @classmethod
    def of(cls, reason: str, fault: str, tag: str) -> "Refused":
        """What this release has found."""
        return cls(reason, fault, tag, _RELEASE)

    def holds_for(self, tag: str) -> bool:
        """Whether it would be found again."""
        return (self.tag, self.release) == (tag, _RELEASE)


def refused_of(version_dir: Path) -> Refused | None:
    """What was found; None where the version was copied, or is not there."""
    try:
        return msgspec.json.decode((version_dir / FILE).read_bytes(), type=Refused)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return Refused("", "", "", "")


def note_refused(version_dir: Path, refused: Refused) -> None:
    """Puts the directory in the version's place, quarantined from the first moment.

    Raises:
        OSError: where the cache cannot be written.
    """
    scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=version_dir.parent))
    (scratch / FILE).write_bytes(msgspec.json.encode(refused))
    fsync(scratch / FILE)
    quarantine = Quarantine(version_dir.parent)
    quarantine.add(int(version_dir.name), refused.reason, signature_of(scratch), fault=refused.fault)
    scratch.rename(version_dir)
    fsync(version_dir.parent)
