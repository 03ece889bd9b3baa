"""Loading in a process of its own: the same scores, and whatever happens to that process stays there."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest

from rankserve_server import loader_watch
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loader import VersionLoader
from rankserve_server.loader_forks import LoaderForks
from rankserve_server.machine import MachineError, MemoryShortageError, check_memory
from rankserve_training.artifact import ArtifactError
from server.two_towers import Published

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def forks() -> Iterator[LoaderForks]:
    """What all loading processes of these tests are forked from."""
    forks = LoaderForks()
    yield forks
    forks.close()


def go_on() -> None:
    """A checkpoint that changes nothing."""


def children() -> list[int]:
    """The processes that load something for this one: those that its own ones have forked."""
    return [pid for parent in fork_servers() for pid, state in states_of_children(parent).items() if state != "Z"]


def fork_servers() -> list[int]:
    """Its own ones."""
    return [pid for pid in states_of_children(os.getpid()) if b"rankserve_server.loader_forks" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""  # it has ended meanwhile


def meanwhile(do: Callable[[int], None]) -> threading.Thread:
    """Does something to the loading process as soon as there is one."""

    def run() -> None:
        until = time.monotonic() + 30
        while not (found := children()) and time.monotonic() < until:
            time.sleep(0.01)
        do(found[0])  # the one that was seen: it may have ended since

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_scores_are_the_same_bits(
    published: Published, towers_model: LoadedModel, programs: Path, forks: LoaderForks
) -> None:
    model = VersionLoader(go_on, programs=programs, forks=forks).load(published.directory, beside_serving=True)
    users = np.arange(20, dtype=np.int32)
    items = np.arange(1, 21, dtype=np.int32)
    assert model.engine.score(users, items).tobytes() == towers_model.engine.score(users, items).tobytes()
    assert (model.name, model.version) == (towers_model.name, towers_model.version)
    assert model.abilities == towers_model.abilities
    assert not children()


def test_keras_stays_out_of_the_server(published: Published, programs: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport rankserve_server.server\n"
        "from rankserve_server.loader import VersionLoader\n"
        f"VersionLoader(lambda: None, programs=Path({str(programs)!r})).load(Path({str(published.directory)!r}))\n"
        "print(sorted({'keras', 'tensorflow', 'h5py'} & sys.modules.keys()))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (signal.SIGKILL, MemoryShortageError, "the process that loads it was killed; is there too little memory"),
        (signal.SIGSEGV, ArtifactError, "the process that loads it was ended by SIGSEGV"),
    ],
)
def test_a_process_that_dies(
    published: Published, forks: LoaderForks, number: signal.Signals, error: type[Exception], message: str
) -> None:
    thread = meanwhile(lambda pid: os.kill(pid, number))
    with pytest.raises(error, match=message):
        VersionLoader(go_on, forks=forks).load(published.directory)
    thread.join()


def test_what_they_are_forked_from_is_started_anew(published: Published, programs: Path, forks: LoaderForks) -> None:
    loader = VersionLoader(go_on, programs=programs, forks=forks)
    loader.load(published.directory)
    (before,) = fork_servers()
    assert loader.load(published.directory).version == 1
    assert fork_servers() == [before]
    os.kill(before, signal.SIGKILL)
    assert loader.load(published.directory).version == 1
    (after,) = fork_servers()
    assert after != before


def test_what_they_are_forked_from_dies_meanwhile(published: Published, forks: LoaderForks) -> None:
    thread = meanwhile(lambda _: os.kill(fork_servers()[0], signal.SIGKILL))
    with pytest.raises(MemoryShortageError, match="the process that loads it was killed"):
        VersionLoader(go_on, forks=forks).load(published.directory)
    thread.join()
    assert not children()


def test_beside_more_than_a_thousand_connections(published: Published, programs: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    forks = LoaderForks()
    with ExitStack() as stack:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4_096), most))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, before)
        for _ in range(1_100):
            stack.enter_context(Path(os.devnull).open("rb"))
        stack.callback(forks.close)
        assert VersionLoader(go_on, programs=programs, forks=forks).load(published.directory).version == 1


def test_libraries_that_cannot_be_imported(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "keras.py").write_text("raise RuntimeError('half installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    forks = LoaderForks()
    with closing(forks), pytest.raises(MachineError, match="ends as soon as it starts; the log may say why"):
        VersionLoader(go_on, forks=forks).load(published.directory)
    assert "half installed" in capfd.readouterr().err


def test_one_that_takes_too_long(published: Published, forks: LoaderForks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_watch, "_MOST_SECONDS", 0.2)
    with pytest.raises(ArtifactError, match=r"loading takes more than 0.2 s"):
        VersionLoader(go_on, forks=forks).load(published.directory)
    assert not children()


def test_what_the_checkpoint_raises_ends_it(published: Published, forks: LoaderForks) -> None:
    def stop() -> None:
        raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        VersionLoader(stop, forks=forks).load(published.directory)
    assert not children()


def test_it_has_what_those_who_are_served_leave(published: Published, programs: Path, forks: LoaderForks) -> None:
    found: set[int] = set()
    thread = meanwhile(lambda pid: watch(lambda: found.add(os.sched_getscheduler(pid))))
    VersionLoader(go_on, programs=programs, forks=forks).load(published.directory, beside_serving=True)
    thread.join()
    assert found - {os.SCHED_OTHER} == {os.SCHED_IDLE}  # it starts as this one


def test_one_that_they_leave_nothing_takes_a_part(
    published: Published,
    programs: Path,
    forks: LoaderForks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Whatever it has had, and from the first look on: on an idle machine it has hardly waited, and is soon done.
    monkeypatch.setattr(loader_watch, "_STARVED_SECONDS", -1.0)
    monkeypatch.setattr(loader_watch, "_STARVED_SHARE", 1e9)
    monkeypatch.setattr(loader_watch, "_LOOK_SECONDS", 0.0)
    caplog.set_level("INFO")
    found: set[tuple[int, int]] = set()
    lowest = min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)

    def look(_: int) -> None:
        while not over.wait(0.002):
            for pid in children():
                with suppress(ProcessLookupError):
                    found.add((os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)))

    over = threading.Event()
    thread = meanwhile(look)
    model = VersionLoader(go_on, programs=programs, forks=forks).load(published.directory, beside_serving=True)
    over.set()
    thread.join()
    assert model.version == 1
    assert (os.SCHED_OTHER, lowest) in found
    assert "nothing is left of the processors to load it with" in caplog.text
    assert not children()


def test_one_that_loads_ends_with_a_server_that_is_killed(published: Published) -> None:
    code = (
        "from pathlib import Path\nfrom rankserve_server.loader import VersionLoader\n"
        f"VersionLoader(lambda: None).load(Path({str(published.directory)!r}), True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as server:
        until = time.monotonic() + 60
        while not (found := states_of_grandchildren(server.pid)).keys() - states_of_children(server.pid).keys():
            assert time.monotonic() < until
            time.sleep(0.001)
        server.kill()
    while any(is_there(pid) for pid in found):
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.01)


def is_there(pid: int) -> bool:
    """Whether a process has not ended; who has adopted it need not have noticed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def states_of_children(parent: int) -> dict[int, str]:
    """The states of the processes that a process has started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, its_parent = path.read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            if int(its_parent) == parent:
                found[int(path.parent.name)] = state
    return found


def states_of_grandchildren(parent: int) -> dict[int, str]:
    """With those of the children."""
    found = states_of_children(parent)
    for child in list(found):
        found |= states_of_children(child)
    return found


def watch(look: Callable[[], None]) -> None:
    """Looks at a process until it has gone."""
    with suppress(ProcessLookupError, FileNotFoundError):
        while True:
            look()
            time.sleep(0.005)


def test_a_version_that_changes_while_it_is_loaded(
    published: Published, tmp_path: Path, programs: Path, forks: LoaderForks
) -> None:
    directory = tmp_path / "towers" / "1"
    shutil.copytree(published.directory, directory)
    manifest = directory / "manifest.json"

    def change(_: int) -> None:
        time.sleep(0.3)
        manifest.write_bytes(manifest.read_bytes().replace(b'"epochs"', b' "epochs"', 1))

    # Read by the other process before that or after it: either is refused, or nothing has changed for both.
    thread = meanwhile(change)
    try:
        VersionLoader(go_on, programs=programs, forks=forks).load(directory)
    except ArtifactError as error:
        assert "was changed while it was loaded" in str(error)  # noqa: PT017, it may as well be none
    thread.join()


class TestMemory:
    def test_a_limit_of_the_process(self) -> None:
        check_memory(MIB, 1_000_000)
        with pytest.raises(MemoryShortageError, match=r"it takes 1 MiB beside .* and --max-memory-mib allows 1 MiB"):
            check_memory(MIB, 1)

    def test_what_the_machine_has(self) -> None:
        with pytest.raises(MemoryShortageError, match=r"it takes [0-9,]+ MiB and the machine has [0-9,]+ MiB left"):
            check_memory(1 << 60, None)

    def test_a_version_is_held_against_it(self, published: Published, programs: Path, forks: LoaderForks) -> None:
        with pytest.raises(MemoryShortageError, match=r"towers.1: it takes [01] MiB beside"):
            VersionLoader(go_on, programs=programs, forks=forks, max_memory_mib=1).load(published.directory)
