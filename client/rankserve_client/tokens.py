"""The token that a client sends with every call."""

import re
import time
from pathlib import Path

from rankserve_client.policies import require

_TOKEN = re.compile(r"[!-~]+")
# How soon a change of the file counts.
_LOOK_SECONDS = 1.0


class TokenSource:
    """A token, or a file that holds one and may be changed while the client runs."""

    def __init__(self, token: str | None, file: str | Path | None) -> None:
        """Exactly one of them is given.

        Raises:
            ValueError: The token has letters that no token has.
            OSError: The file cannot be read.
        """
        require((token is None) != (file is None), "token", "given without `token_file`, or the other way", "both")
        self._file = None if file is None else Path(file)
        self._next_look = 0.0
        self._modified = 0
        self._metadata = ("authorization", "")
        if token is not None:
            self._metadata = _metadata_of(token, "token")
        elif self._file is not None:
            self._read(self._file)

    def metadata(self) -> tuple[str, str]:
        """The pair to send with a call."""
        if self._file is not None and time.monotonic() >= self._next_look:
            self._read_again(self._file)
        return self._metadata

    def _read_again(self, file: Path) -> None:
        """What cannot be read leaves the last token: the server says whether that is still good."""
        try:
            self._read(file)
        except (OSError, ValueError):
            self._next_look = time.monotonic() + _LOOK_SECONDS

    def _read(self, file: Path) -> None:
        self._next_look = time.monotonic() + _LOOK_SECONDS
        modified = file.stat().st_mtime_ns
        if modified != self._modified:
            content = file.read_text(encoding="utf-8", errors="replace")  # what is none is no token either
            self._metadata = _metadata_of(content.strip(), "token_file")
            self._modified = modified


def _metadata_of(token: str, name: str) -> tuple[str, str]:
    # The value is left out of the message: it may be most of a good token.
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise ValueError(f"`{name}` must give a token: printable ASCII without spaces. What was received is not shown")
    return "authorization", f"Bearer {token}"
