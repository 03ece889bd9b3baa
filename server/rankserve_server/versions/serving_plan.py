"""What the operator wants of a model's versions: `MODELS_DIR/NAME/serving.json`.

The file is the only place for it. Every server and worker on the directory reads it, so that they agree, also after a
restart; whoever changes it replaces it in one step.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from rankserve_server.errors import StorageError

FILE = "serving.json"
FORMAT_VERSION = 1

Version = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]
Alias = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]


class ServingPlanError(StorageError):
    """The file cannot be read or written. The message says why and what to do."""


class Share(msgspec.Struct, frozen=True):
    """A version that gets a part of the requests.

    Attributes:
        version: which.
        percent: more than 0, at most 100.
    """

    version: Version
    percent: Percent


class ServingPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole plan; by default the newest version answers everything.

    Attributes:
        format_version: of the file.
        pinned: the version that answers requests that name none; None for the newest.
        previous: what answered before that was last changed, for a rollback; None where nothing was.
        aliases: names for versions.
        canary: answers a share of the users that would otherwise get the current version.
        shadow: is asked too, and not listened to, for a share of the requests.
        unloaded: whether no version is to be loaded, whatever else is said here.
    """

    format_version: int = FORMAT_VERSION
    pinned: Version | None = None
    previous: Version | None = None
    aliases: dict[Alias, Version] = {}
    canary: Share | None = None
    shadow: Share | None = None
    unloaded: bool = False

    @property
    def named_versions(self) -> set[int]:
        """Every version that it names but `previous`: these are loaded, however old."""
        shares = [share.version for share in (self.canary, self.shadow) if share is not None]
        return {*self.aliases.values(), *shares, *(() if self.pinned is None else (self.pinned,))}


def read_plan(model_dir: Path) -> ServingPlan:
    """Reads a model's plan; the default one where there is no file.

    Raises:
        ServingPlanError: where the file cannot be read or does not hold a plan.
    """
    path = model_dir / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ServingPlan()
    except OSError as error:
        raise ServingPlanError(f"{path} cannot be read: {error.strerror}") from error
    return decode_plan(content, str(path))


def decode_plan(content: bytes, path: str) -> ServingPlan:
    """The plan of a file's content; `path` is for the message.

    Raises:
        ServingPlanError: where it is none.
    """
    try:
        plan = msgspec.json.decode(content, type=ServingPlan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ServingPlanError(f"{path} does not hold a serving plan: {error}; correct or remove it") from error
    if plan.format_version != FORMAT_VERSION:
        raise ServingPlanError(f"{path}: format version {plan.format_version} is not one that this server reads")
    return plan


def change_plan(model_dir: Path, change: Callable[[ServingPlan], ServingPlan]) -> ServingPlan:
    """Replaces a model's plan by what `change` makes of it; changes at the same time follow each other.

    Returns:
        The new plan, which is on disk.

    Raises:
        ServingPlanError: where it cannot be written, which leaves the old one as it is.
    """
    try:
        with locked(model_dir):
            plan = change(read_plan(model_dir))
            replace_file(model_dir / FILE, encode_plan(plan))
    except OSError as error:
        raise ServingPlanError(f"{model_dir / FILE} cannot be written: {error.strerror}") from error
    return plan


def encode_plan(plan: ServingPlan) -> bytes:
    """The content of its file."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds a directory against others who would change its plan."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_file(path: Path, content: bytes) -> None:
    """Writes beside, makes durable, renames: whoever reads finds the old or the new content."""
    descriptor, name = tempfile.mkstemp(prefix=".serving-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
