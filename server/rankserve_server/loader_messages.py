"""What a server and the process that loads a version for it tell each other.

Apart from both, so that the latter has its priority before it imports anything large.
"""

from typing import Literal

import msgspec

from rankserve_server.load_steps import Step
from rankserve_server.observing.observing_config import LogFormat, LogLevel

Priority = Literal["normal", "low", "idle"]
"""`idle`: never beside anybody else's; see SCHED_IDLE in sched(7)."""


class LoadRequest(msgspec.Struct, frozen=True):
    """What the loading process is asked for.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION.
        max_table_mib: see `load_version`.
        trusted_keys: files of public keys, likewise.
        priority: whose turn it is where others want the processors too.
        programs: where compiled programs are kept; None for nowhere.
        log_format: of what it says.
        log_level: likewise.
    """

    directory: str
    max_table_mib: float
    trusted_keys: list[str]
    priority: Priority
    programs: str | None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"


class LoadReport(msgspec.Struct, frozen=True):
    """What the loading process says before it hands over the engine.

    Attributes:
        error: why there is none; empty where there is one.
        is_machine: whether the machine is to blame for that.
        manifest_sha256: of the manifest that it has read.
        table_bytes: what the engine's tables take.
        jax_version: what it was compiled with.
        fault: of the error, see `ArtifactError`.
        compiled: how many programs were compiled.
        reused: how many were found compiled.
        steps: what it has done.
    """

    error: str = ""
    is_machine: bool = False
    manifest_sha256: str = ""
    table_bytes: int = 0
    jax_version: str = ""
    fault: str = ""
    compiled: int = 0
    reused: int = 0
    steps: list[Step] = []


def encode_request(request: LoadRequest) -> bytes:
    """The request as the loading process takes it."""
    return msgspec.json.encode(request)
