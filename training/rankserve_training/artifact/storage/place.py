"""Where versions lie: a directory, or a URL of a store. And where a store's versions are kept on this machine."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rankserve_training.artifact.storage.errors import StoreError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.*", re.DOTALL)
_IN_BUCKETS = ("s3", "s3a", "gs", "gcs")


def is_url(place: str | Path) -> bool:
    """Whether this names a store. `file://` is a URL too, but of a directory; see `parse_place`."""
    return isinstance(place, str) and bool(_URL.fullmatch(place))


def parse_place(text: str) -> Path | str:
    """The path of a directory, also from a `file://` URL; of others the URL: scheme in lower case, no `/` at its end.

    Raises:
        ValueError: where the URL holds a password, which would be seen in logs, names no place, or has a query.
    """
    if not is_url(text):
        return Path(text)
    if not text.isprintable():
        raise ValueError(f"{text!r} has characters that cannot be seen; leave them out")
    parts = urlsplit(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"{text} names another machine; a directory of this one is file:///PATH")
        return Path(unquote(parts.path))
    if "@" in parts.netloc and ":" in parts.netloc.rpartition("@")[0]:
        raise ValueError("a URL with a password would be seen in logs and lists of processes; leave it out")
    if not parts.netloc and (parts.scheme in _IN_BUCKETS or not parts.path.strip("/")):
        raise ValueError(f"{text} names no bucket; give {parts.scheme}://BUCKET/PATH")
    if parts.query or parts.fragment:
        raise ValueError(f"{text} should end with its path, without ? and #")
    # Of the scheme alone upper and lower case are the same.
    return (parts.scheme + text[len(parts.scheme) :]).rstrip("/")


def join_place(place: Path | str, *names: str) -> Path | str:
    """What lies below a place."""
    return "/".join((place, *names)) if isinstance(place, str) else place.joinpath(*names)


def cache_of(url: str, base: Path | None = None) -> Path:
    """The directory in which the versions of a store are kept: its own below `base`.

    Args:
        url: of the store.
        base: None for `rankserve/models` in the user's cache (XDG Base Directory Specification).

    Raises:
        StoreError: where `base` is None and the user has no directory.
    """
    told_apart = hashlib.sha256(url.encode()).hexdigest()[:8]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", url)[-64:].strip("-")
    return (base or _user_cache()) / f"{readable}-{told_apart}"


def _user_cache() -> Path:
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:
        raise StoreError("there is no home directory to keep models in; set XDG_CACHE_HOME") from error
    return base.absolute() / "rankserve" / "models"
