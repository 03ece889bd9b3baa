"""Publishing a version: written beside, made durable, then renamed into its place.

So a version is either whole or not there, whenever the writer dies.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, Manifest, decode_manifest
from rankserve_training.artifact.signing import sign
from rankserve_training.artifact.versions import check_name, list_versions

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_UNFINISHED = ".publishing-"


def check_place(models_dir: Path, name: str) -> None:
    """Refuses, before the work is done, a name or a place under which nothing could be published.

    Raises:
        ArtifactError: saying why.
    """
    check_name(name)
    place = models_dir.absolute() / name
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK)):
        raise ArtifactError(f"nothing can be published in {models_dir}: {place} is not a directory that can be written")


def publish(
    models_dir: Path,
    name: str,
    write_files: Callable[[Path], None],
    manifest: Manifest,
    sign_key: "Ed25519PrivateKey | None" = None,
) -> Path:
    """Publishes the next free version of a model; safe beside other publishers of the same model.

    Args:
        models_dir: where models live, made if it does not exist.
        name: of the model.
        write_files: writes every file but the manifest into the directory that it is given.
        manifest: its `name`, `version` and `files` are filled in here.
        sign_key: signs the manifest; None leaves the version unsigned.

    Returns:
        MODELS_DIR/NAME/VERSION.

    Raises:
        ArtifactError: where the name is not usable, or a reader would refuse the manifest.
        OSError: where the disk does not take it. Nothing is then left behind, or what the next publisher removes; but
            where all was written and only its place could not be made durable, the whole version.
    """
    check_name(name)
    model_dir = models_dir / name
    model_dir.mkdir(parents=True, exist_ok=True)
    with _scratch_directory(model_dir) as scratch:
        files = write_entries(scratch, write_files)
        version = max(list_versions(model_dir), default=0) + 1
        while True:
            complete = msgspec.structs.replace(manifest, name=name, version=version, files=files)
            write_manifest(scratch, complete, sign_key)
            _fsync(scratch)
            if _rename_to_free(scratch, model_dir / str(version)):
                break
            version += 1
        _fsync(model_dir)
        _fsync(models_dir)
    return model_dir / str(version)


def write_entries(scratch: Path, write_files: Callable[[Path], None]) -> dict[str, FileEntry]:
    """Has the files of a version written, and gives what its manifest says of them."""
    write_files(scratch)
    return {path.name: _durable_entry(path) for path in sorted(scratch.iterdir())}


def write_manifest(scratch: Path, manifest: Manifest, sign_key: "Ed25519PrivateKey | None") -> None:
    """Writes the manifest, and its signature where there is a key.

    Raises:
        ArtifactError: where a reader would refuse it.
    """
    content = manifest.encode()
    decode_manifest(content, scratch / MANIFEST_FILE)
    _write_durably(scratch / MANIFEST_FILE, content)
    if sign_key is not None:
        _write_durably(scratch / SIGNATURE_FILE, sign(content, sign_key))


@contextmanager
def _scratch_directory(model_dir: Path) -> Iterator[Path]:
    """A locked directory beside the versions, removed unless it has been renamed to one."""
    with ExitStack() as cleaning:
        with _lock(model_dir):  # or another publisher could take the new directory for an abandoned one
            _remove_abandoned(model_dir)
            scratch = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=model_dir))
            # Where it cannot be removed, as on a disk that has become read-only, the next publisher does; why the
            # publishing failed is what the caller has to learn. The lock is given back first, in any case: a process
            # that goes on would keep the next publisher from removing it.
            cleaning.callback(shutil.rmtree, scratch, ignore_errors=True)
            cleaning.enter_context(_lock(scratch))
        scratch.chmod(0o755)  # mkdtemp's 0700 would hide the version from a server that runs as another user
        yield scratch


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(model_dir: Path) -> None:
    """Removes what killed publishers left: a directory whose lock nobody holds."""
    for path in model_dir.glob(f"{_UNFINISHED}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:  # gone by now, or another user's
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _rename_to_free(scratch: Path, target: Path) -> bool:
    """Renames unless the target is taken."""
    try:
        scratch.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            return False
        raise
    return True


def _durable_entry(path: Path) -> FileEntry:
    _fsync(path)
    return file_entry(path)


def file_entry(path: Path) -> FileEntry:
    """Size and hash of a file as it is now."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=digest)


def _write_durably(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
