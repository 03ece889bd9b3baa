"""Whether GroupLens can be reached, and the download of its archives."""

import http.client
import os
import queue
import shutil
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

from rankserve_training.data.errors import DataError
from rankserve_training.data.file_hash import check_sha256


def probe(url: str, seconds: float) -> str | None:
    """Asks for the head of a file. None if the host has it; otherwise why not, in a few words.

    Answers within `seconds` whatever the network does: the request runs in a thread that is left behind, because
    neither looking a host name up nor trying one address after another heeds a socket's timeout.
    """
    answers: queue.Queue[str | None] = queue.Queue()
    thread = threading.Thread(target=lambda: answers.put(_ask(url, seconds)), name="probe", daemon=True)
    thread.start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} s"


def download(url: str, target: Path, sha256: str, seconds: float) -> None:
    """Fetches a file; it appears under its name only when it is complete and has the expected hash.

    Args:
        url: what to fetch.
        target: where to put it; its directory is made.
        sha256: of the content, hexadecimal.
        seconds: how long the network may be silent.

    Raises:
        DataError: if the host stops answering or what it sends has another hash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310  # TFDS' address, or a caller's in code
            shutil.copyfileobj(answer, file)
        check_sha256(Path(partial), sha256, url)
        Path(partial).replace(target)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(f"{url}: {_reason(error)}") from error
    finally:
        Path(partial).unlink(missing_ok=True)


def _ask(url: str, seconds: float) -> str | None:
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # the address is that of TFDS, or of a caller in code
        with urllib.request.urlopen(request, timeout=seconds):  # noqa: S310  # the address is that of TFDS, or of a caller in code
            return None
    except (OSError, ValueError) as error:
        return _reason(error)
    except Exception as error:  # whatever else a broken proxy makes of it: the host has not answered
        return repr(error)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP status {error.code}"
    return str(getattr(error, "reason", None) or error)
