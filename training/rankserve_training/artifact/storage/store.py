"""A store as fsspec reaches it: what lies in it, and reading and writing its objects."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rankserve_training.artifact.manifest import MANIFEST_FILE
from rankserve_training.artifact.storage.errors import StoreError, TakenError
from rankserve_training.artifact.storage.explaining import chain, code_of, explained
from rankserve_training.artifact.versions import is_name, is_version

if TYPE_CHECKING:
    from fsspec.spec import AbstractFileSystem

_S3 = ("s3", "s3a")
# Whoever waits for a store that does not answer has something to serve meanwhile: a minute is long. The tries of s3fs
# multiply those of botocore.
_CONNECT_SECONDS, _READ_SECONDS, _RETRIES_OF_BOTOCORE, _TRIES_OF_S3FS = 5, 15, 1, 2
_S3_OPTIONS: Mapping[str, Any] = {
    "config_kwargs": {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retries": {"max_attempts": _RETRIES_OF_BOTOCORE},
    }
}
_CONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict", "412")
_BLOCK_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class StoredObject:
    """An object of a version.

    Attributes:
        path: as the file system names it.
        size: in bytes.
        tag: changes whenever it is written.
    """

    path: str
    size: int
    tag: str


StoredVersion = Mapping[str, StoredObject]


class Store:
    """Objects below a URL. Every method raises `StoreError`, in one line, where the store does not do it."""

    def __init__(self, url: str) -> None:
        """Asks the store nothing yet.

        Raises:
            StoreError: where what reaches such a URL is not installed.
        """
        self.url = url
        scheme = url.partition("://")[0]
        self._conditional = scheme in _S3
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise StoreError(f'{url} needs fsspec: pip install "rankserve[storage]"') from error
        with explained(url):
            found: tuple[AbstractFileSystem, str] = url_to_fs(
                url, use_listings_cache=False, skip_instance_cache=True, **(_S3_OPTIONS if self._conditional else {})
            )
        self._files, root = found
        if self._conditional:
            self._files.retries = _TRIES_OF_S3FS
        self._root = root.rstrip("/")

    def versions(self, name: str = "") -> dict[str, dict[int, StoredVersion]]:
        """What there is, by model and version: a version without a manifest is none, as it is not finished.

        Args:
            name: of the only model to look at; "" for all.
        """
        found: dict[str, dict[int, dict[str, StoredObject]]] = {}
        for (model, version, file), stored in self._objects(name):
            if is_name(model) and is_version(version):
                found.setdefault(model, {}).setdefault(int(version), {})[file] = stored
        whole = {
            model: {number: files for number, files in versions.items() if MANIFEST_FILE in files}
            for model, versions in found.items()
        }
        return {model: dict(sorted(versions.items())) for model, versions in whole.items() if versions}

    def used_numbers(self, name: str) -> list[int]:
        """The numbers of a model under which anything lies, finished or not; ascending."""
        return sorted({int(version) for (_, version, _), _ in self._objects(name) if is_version(version)})

    def read(self, path: str, largest: int) -> bytes | None:
        """The content of a small object, given below the URL; None where there is none.

        Raises:
            StoreError: also where it is larger than `largest` bytes.
        """
        full = f"{self._root}/{path}"
        with explained(f"{self.url}/{path}"):
            try:
                with self._files.open(full, "rb", block_size=_BLOCK_BYTES, cache_type="none") as file:
                    content: bytes = file.read(largest + 1)
            except FileNotFoundError:
                return None
        if len(content) > largest:
            raise StoreError(f"{self.url}/{path} has more than the {largest:,} bytes that are allowed")
        return content

    def tag(self, path: str) -> str | None:
        """What changes whenever an object is written; None where there is none."""
        with explained(f"{self.url}/{path}"):
            try:
                return _tag(self._files.info(f"{self._root}/{path}", refresh=True))
            except FileNotFoundError:
                return None

    def blocks(self, stored: StoredObject) -> Iterator[bytes]:
        """The content of an object, never more than its size when it was listed."""
        left = stored.size
        with (
            explained(f"{self.url}: {stored.path}"),
            self._files.open(stored.path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead") as file,
        ):
            yield from _read_blocks(file, left)

    def upload(self, source: Path, path: str) -> None:
        """Writes a file."""
        with explained(f"{self.url}/{path}"):
            self._files.put_file(str(source), f"{self._root}/{path}")

    def create(self, path: str, content: bytes) -> None:
        """Writes a small object that is not there yet.

        Stores of S3's kind, Google's and local ones do that in one step. Where another has no such step, it is
        only looked before it is written.

        Raises:
            TakenError: where it is there.
        """
        with explained(f"{self.url}/{path}"):
            try:
                self._files.makedirs(f"{self._root}/{path}".rpartition("/")[0], exist_ok=True)
                self._files.pipe_file(f"{self._root}/{path}", content, mode="create")
            except Exception as error:
                if _is_taken(error):
                    raise TakenError(f"{self.url}/{path} is there already") from error
                raise

    def replace(self, path: str, content: bytes, tag: str | None) -> None:
        """Writes a small object that has not changed since it had this tag; None where there was none.

        In one step where the store is of S3's kind (`If-Match`); on others it is only looked before it is written.

        Raises:
            TakenError: where it has changed.
        """
        if tag is None:
            self.create(path, content)
            return
        if not self._conditional and self.tag(path) != tag:
            raise TakenError(f"{self.url}/{path} has changed meanwhile")
        condition = {"IfMatch": tag} if self._conditional else {}
        with explained(f"{self.url}/{path}"):
            try:
                self._files.pipe_file(f"{self._root}/{path}", content, **condition)
            except Exception as error:
                if _is_taken(error):
                    raise TakenError(f"{self.url}/{path} has changed meanwhile") from error
                raise

    def check_writable(self, name: str) -> None:
        """Asks whether objects may be written below a model, and writes none, where the store is of S3's kind.

        Others would have to be written to, and are not asked.
        """
        if not self._conditional:
            return
        path = f"{name}/.writable"
        with explained(f"{self.url}/{name}"):
            try:
                self._files.pipe_file(f"{self._root}/{path}", b"", IfMatch='"none has this tag"')
            except PermissionError:
                raise
            except Exception:  # for want of the tag alone, or as the store knows no conditions
                return
        self.remove(path)  # the store passes over conditions

    def remove(self, path: str) -> None:
        """Removes everything below a path."""
        with explained(f"{self.url}/{path}"):
            self._files.rm(f"{self._root}/{path}", recursive=True)

    def _objects(self, name: str) -> Iterator[tuple[tuple[str, str, str], StoredObject]]:
        """Model, version and file of everything that has them, with the object."""
        below = f"{self._root}/{name}" if name else self._root
        with explained(self.url):
            self._files.invalidate_cache()
            try:
                found: dict[str, dict[str, Any]] = self._files.find(below, detail=True)
            except FileNotFoundError:
                found = {}
            if not found:
                self._check_root()
        for path, info in found.items():
            parts = path.removeprefix(f"{self._root}/").split("/")
            if len(parts) == 3 and all(parts):  # some tools make objects for folders, whose keys end with a `/`
                model, version, file = parts
                yield (model, version, file), StoredObject(path, int(info["size"]), _tag(info))

    def _check_root(self) -> None:
        """An empty listing may mean that there is no such bucket, too, or that it could not be asked."""
        if self._conditional:
            self._files.call_s3("head_bucket", Bucket=self._root.partition("/")[0])
            return
        with suppress(FileNotFoundError):
            self._files.ls(self._root)


def _read_blocks(file: IO[bytes], left: int) -> Iterator[bytes]:
    while left > 0:
        block = file.read(min(_BLOCK_BYTES, left))
        if not block:
            return
        left -= len(block)
        yield block


def _tag(info: Mapping[str, Any]) -> str:
    """The ETag of a listing, or what else tells contents apart."""
    known = (info.get(key) for key in ("ETag", "etag", "md5Hash", "generation", "LastModified", "mtime", "created"))
    return str(next((value for value in known if value), info.get("size", "")))


def _is_taken(error: BaseException) -> bool:
    """Whether a condition of writing did not hold."""
    return any(isinstance(each, FileExistsError) or code_of(each) in _CONDITION_FAILED for each in chain(error))
