"""What the tests share: a real model, trained and published once, and servers that always stop."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from filelock import FileLock

# JAX reads its flags once in a process: those of the server, before a test starts it without them.
import rankserve_server.engine.jax_setup  # noqa: F401, for its effect
from integration.server_process import RANKSERVE, ServerProcess
from rankserve_server.engine.programs import keep_programs_in
from session_files import share_in

# A shell starts what it puts in the background with Ctrl-C ignored, and whatever that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Its deadline is 200 ms of the clock for an example, which passes where a test has to wait for a processor.
hypothesis.settings.register_profile("without-deadline", deadline=None)
hypothesis.settings.load_profile("without-deadline")

Scores: TypeAlias = npt.NDArray[np.float32]
StartServer: TypeAlias = Callable[..., ServerProcess]


@pytest.fixture(scope="session")
def session_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the session; where pytest-xdist runs it, all its workers have the same.

    Where TESTS_SESSION_DIR names one, all sessions that are told so: what one has trained and compiled, the next ones
    need not. That is for sessions of the same code, one soon after the other.
    """
    if given := os.environ.get("TESTS_SESSION_DIR"):
        Path(given).mkdir(parents=True, exist_ok=True)
        return Path(given).resolve()
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def programs(session_dir: Path) -> Path:
    """Where servers under test keep what they compile."""
    return session_dir / "cache" / "rankserve" / "programs"


@pytest.fixture(scope="session", autouse=True)
def _compiled(session_dir: Path, programs: Path) -> None:
    """What one process has compiled, later ones of the session take from here: most have the same shapes.

    Servers keep it in the user's cache, as the engines of the tests' own process do; trainings where JAX is told to.
    See `compiles_anew`.
    """
    keep_programs_in(programs)
    share_in(session_dir / "shared")
    os.environ |= {
        "XDG_CACHE_HOME": str(session_dir / "cache"),
        "JAX_COMPILATION_CACHE_DIR": str(session_dir / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.03",  # less takes longer to keep
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # Never reached. With a limit JAX locks the directory, so that nobody reads what is half written.
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**32),
    }


@pytest.fixture
def compiles_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The processes under test compile everything themselves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty-cache"))
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")


@pytest.fixture(scope="session")
def trained_dir(session_dir: Path) -> Path:
    """Where a user has run `rankserve train`: the tutorial's model after two epochs on the real ratings.

    There are `models/movielens/1`, `train.json`, and what the command has printed: `stdout` and `stderr`.
    """
    directory = session_dir / "trained"
    command = [RANKSERVE, "train", "--preset", "tutorial", "--epochs", "2", "--seed", "7", "--json", "train.json"]
    with FileLock(f"{directory}.lock"):  # the first worker trains, the others wait
        if not (directory / "models" / "movielens" / "1").exists():
            directory.mkdir(exist_ok=True)
            with (directory / "stdout").open("wb") as stdout, (directory / "stderr").open("wb") as stderr:
                ended = subprocess.run(
                    command, cwd=directory, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False
                )
            assert ended.returncode == 0, (directory / "stderr").read_text()
    return directory


@pytest.fixture(scope="session")
def models_dir(trained_dir: Path) -> Path:
    """MODELS_DIR with what was trained there: `movielens/1`."""
    return trained_dir / "models"


@pytest.fixture(scope="session")
def keras_scores(models_dir: Path) -> Scores:
    """What Keras itself predicts: float32[944, 1683], by user and item.

    The ids of MovieLens have no gaps, so that an id is its row; row 0 and column 0 are those of unknown ids.
    """
    from rankserve_training.artifact import read_artifact
    from rankserve_training.model.predicting import predict_ratings

    model = read_artifact(models_dir / "movielens" / "1").load_keras_model()
    users, items = np.meshgrid(np.arange(944, dtype=np.int32), np.arange(1683, dtype=np.int32), indexing="ij")
    return predict_ratings(model, users.ravel(), items.ravel()).reshape(944, 1683)


@pytest.fixture
def start_server(models_dir: Path, tmp_path: Path) -> Iterator[StartServer]:
    """Starts `rankserve serve` with the given flags, by default on the shared models and a free port."""
    servers: list[ServerProcess] = []

    def start(
        *flags: str,
        models: Path = models_dir,
        port: int = 0,
        command: tuple[str, ...] = (RANKSERVE,),
        forked: bool = True,
    ) -> ServerProcess:
        arguments = ("--models-dir", str(models), "--port", str(port), *flags)
        errors = tmp_path / f"errors-{len(servers)}"
        forked = forked and command == (RANKSERVE,)
        servers.append(ServerProcess(*arguments, errors=errors, command=command, forked=forked))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
