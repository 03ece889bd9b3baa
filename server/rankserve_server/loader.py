"""Loading a version in a process of its own, so that nothing it costs or breaks is the server's.

Keras, the compiler and the file's contents stay in the other process. Here come the tables and the compiled calls, in
steps of some milliseconds, between which requests are answered.
"""

import hashlib
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from rankserve_server.engine.engine import Engine
from rankserve_server.engine.parts import unpack
from rankserve_server.golden import replay_golden_requests
from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import ArtifactError, read_artifact
from rankserve_training.artifact.manifest import MANIFEST_FILE

# The lowest priority that there is: beside a serving version, loading gets what processor time is left.
BESIDE_SERVING = 19
_MOST_SECONDS = 900.0


class LoadRequest(msgspec.Struct, frozen=True):
    """What the loading process is asked for.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION.
        max_table_mib: see `load_version`; None for no limit.
        niceness: 0 to 19.
    """

    directory: str
    max_table_mib: float | None
    niceness: int


class LoadReport(msgspec.Struct, frozen=True):
    """What the loading process says before it hands over the engine.

    Attributes:
        error: why there is none; empty where there is one.
        manifest_sha256: of the manifest that it has read.
    """

    error: str = ""
    manifest_sha256: str = ""


def load_apart(
    directory: Path,
    checkpoint: Callable[[], None],
    max_table_mib: float = math.inf,
    niceness: int = 0,
) -> LoadedModel:
    """Loads one version; see `loading.load_version`, which runs in the other process.

    Args:
        directory: MODELS_DIR/NAME/VERSION.
        checkpoint: called between the steps, and while the other process works; what it raises ends both.
        max_table_mib: what folding may make the tables take.
        niceness: of the other process.

    Raises:
        ArtifactError: where the version may not serve, or the other process does not survive it.
    """
    limit = None if math.isinf(max_table_mib) else max_table_mib
    request = LoadRequest(str(directory.absolute()), limit, niceness)
    command = [sys.executable, "-m", "rankserve_server.loader_process", msgspec.json.encode(request).decode()]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:  # noqa: S603, our own code
        try:
            return _received(directory, process, checkpoint)
        finally:
            process.kill()


def _received(directory: Path, process: subprocess.Popen[bytes], checkpoint: Callable[[], None]) -> LoadedModel:
    assert process.stdout is not None  # noqa: S101, it was asked for
    with _Watch(process, checkpoint) as watch:
        line = process.stdout.readline()
    watch.raise_found()
    if not line.endswith(b"\n"):
        raise ArtifactError(f"{directory}: {_ending(process)}")
    report = msgspec.json.decode(line, type=LoadReport)
    if report.error:
        raise ArtifactError(report.error)
    return _assembled(directory, report, process.stdout, checkpoint)


def _assembled(directory: Path, report: LoadReport, stream: IO[bytes], checkpoint: Callable[[], None]) -> LoadedModel:
    artifact = read_artifact(directory)
    manifest = (directory / MANIFEST_FILE).read_bytes()
    if hashlib.sha256(manifest).hexdigest() != report.manifest_sha256:
        raise ArtifactError(f"{directory} was changed while it was loaded; publish a new version instead")
    try:
        engine = Engine(unpack(stream, checkpoint))
    except EOFError as error:
        raise ArtifactError(f"{directory}: the process that loads it ended before it had handed it over") from error
    model = LoadedModel(artifact.manifest, artifact.catalog, artifact.users, engine, artifact.read_newcomers())
    try:
        replay_golden_requests(model)
    except ValueError as error:
        raise ArtifactError(f"{directory}: {error}") from error
    return model


class _Watch:
    """Ends a process that takes too long, or whose result nobody wants any more, while its first line is awaited."""

    def __init__(self, process: subprocess.Popen[bytes], checkpoint: Callable[[], None]) -> None:
        self._process = process
        self._checkpoint = checkpoint
        self._over = threading.Event()
        self._found: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rankserve-load-watch")

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def raise_found(self) -> None:
        """Raises what ended the process, if it was the watch."""
        if self._found is not None:
            raise self._found

    def _run(self) -> None:
        waited = 0.0
        while not self._over.wait(_STEP_SECONDS):
            waited += _STEP_SECONDS
            try:
                self._checkpoint()
                if waited > _MOST_SECONDS:
                    raise ArtifactError(f"loading takes more than {_MOST_SECONDS:g} s; it was ended")
            except BaseException as error:  # whatever it is, it belongs to the thread that waits
                self._found = error
                self._process.kill()
                return


_STEP_SECONDS = 0.05


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        return f"the process that loads it was ended by {name}; is there too little memory?"
    return f"the process that loads it ended with {code}; the log says more"
