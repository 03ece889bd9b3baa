"""Copying versions from a store to a cache: what has its place there has been verified."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rankserve_training.artifact.errors import ArtifactError, DamagedError
from rankserve_training.artifact.json_files import LARGEST_JSON
from rankserve_training.artifact.manifest import MANIFEST_FILE, SIGNATURE_FILE, FileEntry, decode_manifest
from rankserve_training.artifact.storage.errors import StoreError
from rankserve_training.artifact.storage.place import cache_of
from rankserve_training.artifact.storage.store import Store, StoredObject, StoredVersion
from rankserve_training.artifact.versions import is_name, is_version, resolve_version

UNFINISHED = ".fetching-"
LARGEST_VERSION = 64 * 2**30
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LARGEST_SIGNATURE = 65_536
# Left free on the disk of the cache, for what else is there.
_SPARE_BYTES = 64 * 2**20


def nothing_to_check() -> None:
    """For who is in no hurry."""


def fetch_version(
    store: Store,
    stored: StoredVersion,
    target: Path,
    largest: int = LARGEST_VERSION,
    checkpoint: Callable[[], None] = nothing_to_check,
) -> Path:
    """Copies a version to its place CACHE/NAME/VERSION, once it is whole, has its hashes and is durable.

    Args:
        store: where it lies.
        stored: its objects.
        target: its place; what lies there is replaced at the end.
        largest: bytes that it may have in all.
        checkpoint: called between blocks; what it raises gives the copying up.

    Raises:
        StoreError: where the store or the disk does not do it; another try may succeed.
        ArtifactError: where something is wrong with the version itself.
    """
    with local_failures(target):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        scratch = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
        try:
            _fill(store, stored, scratch, target, largest, checkpoint)
            _place(scratch, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


@contextmanager
def local_failures(place: Path) -> Iterator[None]:
    """What the disk of the cache says, in one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"{place} cannot be kept in the cache: {error.strerror or error}") from error


def version_at(place: Path | str) -> Path:
    """The directory of one version, from MODELS_DIR/NAME/VERSION or MODELS_DIR/NAME (then the newest); of a URL a copy.

    Raises:
        ArtifactError: where there is none.
    """
    return resolve_version(place) if isinstance(place, Path) else fetch_newest(place)


def fetch_newest(url: str, base: Path | None = None) -> Path:
    """The verified copy of MODELS_URL/NAME/VERSION or, of MODELS_URL/NAME, of its newest version.

    Raises:
        ArtifactError: where there is none, or it is damaged.
    """
    root, name, version = _split(url)
    store = Store(root)
    versions = store.versions(name).get(name, {})
    if not versions:
        raise ArtifactError(f"{root}/{name} holds no version; publish one with: rankserve train --models-dir {root}")
    number = max(versions) if version is None else version
    if number not in versions:
        raise ArtifactError(f"{root}/{name} has no version {number}; it has {', '.join(map(str, versions))}")
    cache = cache_of(root, base)
    target = cache / name / str(number)
    with cache_locked(cache):
        if _has_sizes(target, versions[number]) and is_copy(store, versions[number], target):
            return target
        return fetch_version(store, versions[number], target)


def is_copy(store: Store, stored: StoredVersion, target: Path) -> bool:
    """Whether there is a cached copy of this version: with its manifest and signature, and the hashes of the former.

    A bucket that was emptied and filled anew has another version of the same number, and often of the same sizes; and
    disks damage files.

    Raises:
        StoreError: where the store, or the cache, cannot be read.
        ArtifactError: where the manifest, there as here, is none.
    """
    with local_failures(target):
        for name, largest in ((MANIFEST_FILE, LARGEST_JSON), (SIGNATURE_FILE, _LARGEST_SIGNATURE)):
            path = target / name
            if path.is_file() != (name in stored):
                return False
            if name in stored and path.read_bytes() != _small(store, stored[name], f"{store.url}: {name}", largest):
                return False
        manifest = decode_manifest((target / MANIFEST_FILE).read_bytes(), target / MANIFEST_FILE)
        return all(_digest_of(target / name) == entry.sha256 for name, entry in manifest.files.items())


def _digest_of(path: Path) -> str:
    """SHA-256; "" where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def cache_locked(cache: Path, checkpoint: Callable[[], None] = nothing_to_check) -> Iterator[None]:
    """Holds the cache against others who would change it: other replicas, other workers.

    Raises:
        StoreError: where the cache cannot be written.
    """
    import time

    with local_failures(cache):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                checkpoint()
                time.sleep(_LOCK_SECONDS)
        yield
    finally:
        os.close(descriptor)


_LOCK_SECONDS = 0.1


def _has_sizes(target: Path, stored: StoredVersion) -> bool:
    """Whether the cached copy has the sizes of the store: who asks for a version wants to hear of damage there."""
    files = {name: item.size for name, item in stored.items() if not name.startswith(".")}
    return all((target / name).is_file() and (target / name).stat().st_size == size for name, size in files.items())


def _split(url: str) -> tuple[str, str, int | None]:
    root, _, last = url.rpartition("/")
    if is_version(last) and "/" in root.partition("://")[2]:
        above, _, name = root.rpartition("/")
        if is_name(name):
            return above, name, int(last)
    if not is_name(last) or root.endswith((":/", "://", "/")):
        raise ArtifactError(f"{url} is no place of a model; give MODELS_URL/NAME or MODELS_URL/NAME/VERSION")
    return root, last, None


def _fill(
    store: Store, stored: StoredVersion, scratch: Path, target: Path, largest: int, checkpoint: Callable[[], None]
) -> None:
    where = f"{store.url}/{target.parent.name}/{target.name}"
    content = _small(store, stored[MANIFEST_FILE], f"{where}/{MANIFEST_FILE}", LARGEST_JSON)
    (scratch / MANIFEST_FILE).write_bytes(content)
    manifest = decode_manifest(content, f"{where}/{MANIFEST_FILE}")
    if (manifest.name, str(manifest.version)) != (target.parent.name, target.name):
        raise ArtifactError(f"{where}: its manifest says that it is {manifest.name}/{manifest.version}")
    for name, entry in manifest.files.items():
        _check_entry(where, name, entry, stored)
    total = sum(entry.size for entry in manifest.files.values())
    if total > largest:
        raise ArtifactError(f"{where} has {total:,} bytes, more than the {largest:,} that are allowed")
    free = shutil.disk_usage(scratch).free
    if total + _SPARE_BYTES > free:
        needed = f"{total:,} bytes, and {_SPARE_BYTES:,} are left to others"
        raise StoreError(f"{where} needs {needed}; in {target.parent} {free:,} are free: make room there")
    for name, entry in manifest.files.items():
        _fetch(store, stored[name], scratch / name, entry, f"{where}/{name}", checkpoint)
    if SIGNATURE_FILE in stored:
        signature = _small(store, stored[SIGNATURE_FILE], f"{where}/{SIGNATURE_FILE}", _LARGEST_SIGNATURE)
        (scratch / SIGNATURE_FILE).write_bytes(signature)


def _small(store: Store, stored: StoredObject, where: str, largest: int) -> bytes:
    if stored.size > largest:
        raise ArtifactError(f"{where} has {stored.size:,} bytes, more than the {largest:,} that are allowed")
    return b"".join(store.blocks(stored))


def _check_entry(where: str, name: str, entry: FileEntry, stored: StoredVersion) -> None:
    if not _FILE.fullmatch(name) or name in (MANIFEST_FILE, SIGNATURE_FILE):
        raise ArtifactError(f"{where}: the manifest names {name!r}, which is not a file of a version")
    if name not in stored:
        raise DamagedError(f"{where}/{name} is missing")
    if stored[name].size != entry.size:
        raise DamagedError(
            f"{where}/{name} has {stored[name].size} bytes, but the manifest says {entry.size}: cut short or changed"
        )


def _fetch(
    store: Store, stored: StoredObject, path: Path, entry: FileEntry, where: str, checkpoint: Callable[[], None]
) -> None:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for block in store.blocks(stored):
            checkpoint()
            digest.update(block)
            size += len(block)
            file.write(block)
    if size != entry.size:
        raise StoreError(f"{where}: the store gave {size} of {entry.size} bytes")
    if digest.hexdigest() != entry.sha256:
        raise DamagedError(f"{where} does not have the SHA-256 of its manifest: changed or damaged")


def _place(scratch: Path, target: Path) -> None:
    for path in scratch.iterdir():
        fsync(path)
    fsync(scratch)
    if target.exists():
        # For who reads it is away for a moment only; whoever holds the cache removes it where this dies.
        gone = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=target.parent))
        target.rename(gone)
        scratch.rename(target)
        shutil.rmtree(gone, ignore_errors=True)
    else:
        scratch.rename(target)
    fsync(target.parent)


def fsync(path: Path) -> None:
    """Makes a file or a directory durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
