"""Checking a file that came over the network against the hash that it must have."""

import hashlib
from pathlib import Path

from rankserve_training.data.errors import DataError


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, name: str) -> None:
    """Refuses a file whose content is not the expected one; `name` names it in the error.

    Raises:
        DataError: if its SHA-256 is another.
    """
    found = file_sha256(path)
    if found != expected:
        raise DataError(f"{name} has SHA-256 {found}, expected {expected}")
