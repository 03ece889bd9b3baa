"""Loading a version in a process of its own, so that nothing it costs or breaks is the server's.

Keras, the compiler and the file's contents stay in the other process. Here come the tables and the compiled calls, in
steps of some milliseconds, between which requests are answered.
"""

import hashlib
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rankserve_server.engine.engine import Engine
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.parts import unpack
from rankserve_server.engine.program_pool import ProgramPool
from rankserve_server.golden import replay_golden_requests
from rankserve_server.load_steps import LoadSteps
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loader_forks import ForkedProcess, LoaderForks
from rankserve_server.loader_messages import LoadReport, LoadRequest, Priority
from rankserve_server.loader_watch import CRASHED, LoaderWatch, StarvedError
from rankserve_server.machine import MachineError, MemoryShortageError, check_memory
from rankserve_server.observing.observing_config import LogFormat, LogLevel
from rankserve_training.artifact import Artifact, ArtifactError, read_artifact
from rankserve_training.artifact.errors import DamagedError, fault_of
from rankserve_training.artifact.manifest import MANIFEST_FILE
from rankserve_training.artifact.signing import read_trusted_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from rankserve_server.metrics.load_counts import LoadCounts
    from rankserve_server.request_log.warm_up import WarmUp

_log = logging.getLogger(__name__)

# What this process itself does of it has this share of a thread.
_LEAST_SHARE = 0.25


@dataclass(frozen=True)
class VersionLoader:
    """Loads versions, each in a process of its own.

    Attributes:
        checkpoint: called between the steps, and while another process works; what it raises ends the loading.
        max_table_mib: how large folding may make the tables of a version.
        max_memory_mib: what this process may hold in all; None for whatever the machine has.
        trusted_keys: files of public keys, of which one has to have signed a version; where there are none, nobody.
        programs: where compiled programs are kept; None for nowhere. Nobody else may be able to write there.
        pool: the programs of what was loaded.
        counts: what was compiled for it; None where nobody counts that.
        forks: what these processes are forked from.
        steps: where it notes how long each step takes.
        warm_up: what a version answers before it serves; None for nothing.
        log_format: of what the other process says.
        log_level: likewise.
    """

    checkpoint: Callable[[], None]
    max_table_mib: float = 2_048
    max_memory_mib: int | None = None
    trusted_keys: tuple[Path, ...] = ()
    programs: Path | None = None
    pool: ProgramPool = field(default_factory=ProgramPool)
    counts: "LoadCounts | None" = None
    forks: LoaderForks = field(default_factory=LoaderForks)
    steps: LoadSteps = field(default_factory=LoadSteps)
    warm_up: "WarmUp | None" = None
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"

    def load(self, directory: Path, beside_serving: bool = False) -> LoadedModel:
        """Loads one version; see `loading.load_version`, which runs in the other process.

        Args:
            directory: MODELS_DIR/NAME/VERSION.
            beside_serving: whether others are served meanwhile, and come first.

        Raises:
            MachineError: where there is too little memory for it, or something else but the version is to blame.
            ArtifactError: where the version may not serve, or the other process does not survive it.
        """
        if beside_serving:
            try:
                return self._load(directory, "idle")
            except StarvedError:
                _log.info("%s: nothing is left of the processors to load it with; it takes a part now.", directory)
        return self._load(directory, "low" if beside_serving else "normal")

    def _load(self, directory: Path, priority: Priority) -> LoadedModel:
        trusted_keys = self._read_trusted_keys()
        keys = [str(path.absolute()) for path in self.trusted_keys]
        programs = None if self.programs is None else str(self.programs.absolute())
        request = LoadRequest(
            *(str(directory.absolute()), self.max_table_mib, keys, priority, programs),
            *(self.log_format, self.log_level),
        )
        with (
            self.forks.fork(request, self.checkpoint) as process,
            LoaderWatch(process, self.checkpoint, priority) as watch,
        ):
            try:
                return self._received(directory, process, trusted_keys, priority)
            except ArtifactError:
                watch.raise_found()  # then the version is not to blame for what came of that
                raise
            finally:
                process.kill()

    def _received(
        self,
        directory: Path,
        process: ForkedProcess,
        trusted_keys: "tuple[Ed25519PublicKey, ...]",
        priority: Priority,
    ) -> LoadedModel:
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise _ending(directory, process)
        report = msgspec.json.decode(line, type=LoadReport)
        self.steps.done.extend(report.steps)
        if self.counts is not None:
            self.counts.add_programs(report.compiled, report.reused)
        if report.error:
            raise (MachineError if report.is_machine else ArtifactError)(report.error, report.fault)
        if report.jax_version != jax.__version__:
            # Whatever the version is like: nothing that is loaded by the new one can be used here.
            raise MachineError(
                f"{directory}: JAX was changed from {jax.__version__} to {report.jax_version} while the server ran; "
                "restart it"
            )
        try:
            check_memory(report.table_bytes, self.max_memory_mib)
        except MemoryShortageError as error:
            raise MemoryShortageError(f"{directory}: {error}") from error
        checkpoint = self.checkpoint if priority == "normal" else _Paced(self.checkpoint)
        artifact = read_artifact(directory, trusted_keys)
        checkpoint()
        return self._assembled(artifact, report, process.stdout, checkpoint)

    def _read_trusted_keys(self) -> "tuple[Ed25519PublicKey, ...]":
        try:
            return read_trusted_keys(self.trusted_keys)
        except ArtifactError as error:
            raise MachineError(str(error)) from error

    def _assembled(
        self, artifact: Artifact, report: LoadReport, stream: BufferedIOBase, checkpoint: Callable[[], None]
    ) -> LoadedModel:
        directory = artifact.directory
        manifest = (directory / MANIFEST_FILE).read_bytes()
        if hashlib.sha256(manifest).hexdigest() != report.manifest_sha256:
            raise DamagedError(f"{directory} was changed while it was loaded; publish a new version instead")
        try:
            with self.steps.step("hand over"):
                engine = Engine(unpack(stream, self.pool, checkpoint))
        except MemoryError as error:
            raise MemoryShortageError(f"{directory}: there is too little memory for its tables") from error
        except EOFError as error:
            raise ArtifactError(
                f"{directory}: the process that loads it ended before it had handed it over", CRASHED
            ) from error
        model = LoadedModel(artifact.manifest, artifact.catalog, artifact.users, engine, artifact.read_newcomers())
        try:
            with self.steps.step("golden requests"):
                replay_golden_requests(model, checkpoint)
        except ValueError as error:
            raise ArtifactError(f"{directory}: {error}", fault_of(error)) from error
        if self.warm_up is not None:
            with self.steps.step("warm-up"):
                self.warm_up.replay(model, checkpoint)
        # Not those of the version that this one may replace, which is still there.
        self.pool.let_go(checkpoint)
        return model


class _Paced:
    """A checkpoint after whose steps others have the processor, and the interpreter, for three times as long.

    A thread of low priority would not do: it could hold the interpreter's lock without getting a processor.
    """

    def __init__(self, checkpoint: Callable[[], None]) -> None:
        self._checkpoint = checkpoint
        self._since = time.thread_time()

    def __call__(self) -> None:
        self._checkpoint()
        took = time.thread_time() - self._since
        time.sleep(took * (1 / _LEAST_SHARE - 1))
        self._since = time.thread_time()


def _ending(directory: Path, process: ForkedProcess) -> ArtifactError:
    code = process.wait()
    if code == -signal.SIGKILL:
        return MemoryShortageError(f"{directory}: the process that loads it was killed; is there too little memory?")
    if code < 0:
        return ArtifactError(
            f"{directory}: the process that loads it was ended by {signal.Signals(-code).name}", CRASHED
        )
    return ArtifactError(f"{directory}: the process that loads it ended with {code}; the log says more", CRASHED)
