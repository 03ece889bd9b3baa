"""Tokens and what they are good for, from a file that holds only their hashes:

    [[token]]
    name = "shop"
    sha256 = "..."
    scopes = ["rank"]
    expires = 2027-01-31T00:00:00Z   # may be left out

A token is random and long, so that one SHA-256 is enough: there are no weak ones to be guessed from a stolen file.
"""

import hashlib
import hmac
import secrets
import time
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec

from rankserve_server.security.reloaded import FileError, Reloaded, read_file
from rankserve_server.security.scopes import Scope

# How soon a change of the file counts.
_LOOK_SECONDS = 1.0
_RANDOM_BYTES = 32
# Tells people and scanners for leaked secrets what they have found.
_PREFIX = "rankserve_"


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says of a token.

    Attributes:
        name: whose it is.
        sha256: of the token itself, hexadecimal.
        scopes: what it is good for.
        expires: from when on it is good for nothing; None for never.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.@-]{1,128}$")]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)]
    expires: Annotated[datetime, msgspec.Meta(tz=True)] | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether it is good for this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    def encode(self) -> str:
        """The entry, as it stands in the file."""
        scopes = ", ".join(f'"{scope.value}"' for scope in self.scopes)
        lines = ["[[token]]", f'name = "{self.name}"', f'sha256 = "{self.sha256}"', f"scopes = [{scopes}]"]
        if self.expires is not None:
            lines.append(f"expires = {self.expires.isoformat(timespec='seconds')}")
        return "\n".join(lines) + "\n"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    token: list[Token] = []


class Tokens:
    """The tokens of a file; a change of it counts a second later. It can be shared between threads."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            FileError: where it cannot be used.
        """
        self._file = Reloaded([path], lambda: read_tokens(path))
        self._next_look = 0.0

    def find(self, secret: str) -> Token | None:
        """The entry of a token, expired or not; None where there is none.

        How long that takes says nothing about the tokens that there are: what is looked up and compared are hashes, of
        which a caller cannot choose the beginning.
        """
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._file.refresh()
        digest = digest_of(secret)
        token = self._file.content.get(digest)
        return token if token is not None and hmac.compare_digest(token.sha256, digest) else None


def read_tokens(path: Path) -> Mapping[str, Token]:
    """The tokens of a file by their hashes.

    Raises:
        FileError: where it cannot be used.
    """
    try:
        tokens = msgspec.convert(tomllib.loads(read_file(path).decode()), _File).token
    except (ValueError, RecursionError) as error:  # of UTF-8, TOML and msgspec
        raise FileError(f"{path} is not a file of tokens: {error}") from error
    if not tokens:
        raise FileError(f"{path} holds no token; make one with: rankserve token NAME --tokens-file {path}")
    for kind, values in (("name", [each.name for each in tokens]), ("sha256", [each.sha256 for each in tokens])):
        if len(set(values)) < len(values):
            raise FileError(f"{path} has two tokens of the same {kind}")
    return {token.sha256: token for token in tokens}


def new_secret() -> str:
    """A token that nobody can guess."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest_of(secret: str) -> str:
    """What the file holds of a token."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
