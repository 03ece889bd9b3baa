"""What the process that loads a version does; `loader_forks` forks it.

It reads the files, builds the Keras model, compiles and replays the golden requests, and writes the engine to a pipe.
Whatever a version does to it, the server goes on: it may be killed, run out of memory or take all day.
"""

import hashlib
import importlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from rankserve_server.load_steps import LoadSteps
from rankserve_server.loader_messages import LoadReport, LoadRequest, Priority
from rankserve_server.logs.process_log import start_log

# Where memory is short, this process is to go first.
_OOM_SCORE = "1000"
# In niceness.
_LOW = 10
# Keras imports these where it finds them, for pictures and reports: a third of the time that its import takes.
_NOT_NEEDED = ("matplotlib", "requests")
# With all that these bring along: Keras and JAX.
_LOADING = (
    "rankserve_server.loading",
    "rankserve_training.model.backend",
    "rankserve_training.model.folded",
    "rankserve_training.model.generic",
    "rankserve_training.model.two_tower",
)


def be_modest(priority: Priority) -> None:
    """Has others come first, and be the last to go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle; it ends this process
    if priority != "normal":
        os.nice(_LOW)
    if priority == "idle":
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    except OSError:
        logging.getLogger(__name__).debug("Nothing is known here of who is to go first where memory is short.")


def import_loading() -> None:
    """Imports all that loading takes."""
    for name in _NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment]  # to import it fails, as where it is not installed
    for name in _LOADING:
        importlib.import_module(name)


def load_into(request: LoadRequest, stream: BinaryIO) -> None:
    """Loads a version and writes the report, then the engine."""
    start_log(request.log_format, request.log_level)
    steps = LoadSteps()
    with steps.step("import libraries"):  # nothing is left to do where it was forked from what has them
        import_loading()
    from rankserve_server.engine.jax_setup import jax
    from rankserve_server.engine.parts import pack, table_bytes
    from rankserve_server.engine.programs import counts, keep_programs_in
    from rankserve_server.loading import load_version
    from rankserve_training.artifact import ArtifactError
    from rankserve_training.artifact.errors import UntrustedError, fault_of
    from rankserve_training.artifact.manifest import MANIFEST_FILE
    from rankserve_training.artifact.signing import read_trusted_keys

    directory = Path(request.directory)
    keep_programs_in(None if request.programs is None else Path(request.programs))
    try:
        keys = read_trusted_keys([Path(path) for path in request.trusted_keys])
        model = load_version(directory, lambda: None, request.max_table_mib, keys, steps)
        digest = hashlib.sha256((directory / MANIFEST_FILE).read_bytes()).hexdigest()
    except (ArtifactError, OSError, MemoryError) as error:
        is_machine = isinstance(error, (MemoryError, OSError, UntrustedError))
        report = LoadReport(
            error=str(error) or type(error).__name__,
            is_machine=is_machine,
            fault=fault_of(error) or ("memory" if isinstance(error, MemoryError) else "machine"),
            compiled=counts.compiled,
            reused=counts.reused,
            steps=steps.done,
        )
        stream.write(msgspec.json.encode(report) + b"\n")
        return
    parts = model.engine.parts
    report = LoadReport(
        manifest_sha256=digest,
        table_bytes=table_bytes(parts),
        jax_version=jax.__version__,
        compiled=counts.compiled,
        reused=counts.reused,
        steps=steps.done,
    )
    stream.write(msgspec.json.encode(report) + b"\n")
    pack(parts, stream)
