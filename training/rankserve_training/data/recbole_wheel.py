"""MovieLens 100K out of the package `recbole`, where GroupLens cannot be reached.

The wheel carries the data set as an example. It is downloaded from the package index that the user's pip is configured
for, checked against a pinned hash, opened as the archive that it is, and never installed.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rankserve_training.data.errors import DataError
from rankserve_training.data.file_hash import check_sha256, file_sha256

REQUIREMENT = "recbole==1.2.1"
WHEEL_NAME = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"

_MEMBER = "recbole/dataset_example/ml-100k/ml-100k"
_NETWORK_SECONDS = 15
_ALL_SECONDS = 120


@dataclass(frozen=True)
class RecboleFiles:
    """The three files, as they are in the wheel: tab-separated, with a header."""

    inter: bytes
    item: bytes
    user: bytes


def fetch_wheel(directory: Path, sha256: str = WHEEL_SHA256, pip_options: Sequence[str] = ()) -> Path:
    """The wheel in this directory; downloaded if it is not there yet.

    Args:
        directory: where the wheel is kept; made if it is missing.
        sha256: of the wheel, hexadecimal.
        pip_options: more options for `pip download`.

    Raises:
        DataError: if pip cannot download it, or what is downloaded has another hash.
    """
    wheel = directory / WHEEL_NAME
    if wheel.is_file() and file_sha256(wheel) == sha256:
        return wheel
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".recbole-") as temporary:
        _pip_download(Path(temporary), pip_options)
        downloaded = Path(temporary) / WHEEL_NAME
        if not downloaded.is_file():
            raise DataError(f"pip downloaded no {WHEEL_NAME}")
        check_sha256(downloaded, sha256, WHEEL_NAME)
        downloaded.replace(wheel)
    return wheel


def read_wheel(wheel: Path) -> RecboleFiles:
    """The data set in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return RecboleFiles(*(archive.read(f"{_MEMBER}.{kind}") for kind in ("inter", "item", "user")))


def _pip_download(directory: Path, pip_options: Sequence[str]) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", f"--timeout={_NETWORK_SECONDS}", "--retries=1", f"--dest={directory}"]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter, no shell
            [*command, *pip_options, REQUIREMENT],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ALL_SECONDS,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"PIP_NO_COLOR": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"pip did not download {REQUIREMENT} within {_ALL_SECONDS} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        raise DataError(f"pip download {REQUIREMENT}: {(errors or lines or ['failed'])[-1]}")
