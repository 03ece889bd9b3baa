"""A process that has imported all that loading takes, and forks itself for each version that is to be loaded.

Importing Keras and JAX takes ten times as long as loading a version of which nothing has to be compiled, and takes it
from those who are served. The process is forked from the server as it starts, with what both need, and computes nothing
itself: so it has one thread, and what it forks is whole.
"""

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from io import BufferedIOBase
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self, cast

import msgspec

from rankserve_server.loader_messages import LoadRequest, encode_request
from rankserve_server.loader_process import be_modest, import_loading, load_into
from rankserve_server.machine import MachineError
from rankserve_server.parent import end_with_parent

_log = logging.getLogger(__name__)

_LARGEST_MESSAGE = 65_536
_STANDARD_STREAMS = 3
_TRIES = 2
_STEP_MS = 10


class ForkedProcess:
    """A process that loads a version: what is used of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket, pid: int, stdout: BufferedIOBase, over: threading.Lock) -> None:
        self._connection = connection
        self._over = over
        self._code: int | None = None
        self.pid = pid
        self.stdout = stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stdout.close()
        self.wait()
        # Until now nobody else can have got its process id.
        with suppress(OSError):
            self._connection.send(b"over")
        self._over.release()

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal; nothing happens where it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)

    def wait(self) -> int:
        """Waits for its end; gives its exit code, negative where a signal has ended it."""
        if self._code is None:
            answer = _received(self._connection)
            # Where the process that has forked it is gone, so is it.
            self._code = int(answer) if answer else -signal.SIGKILL
        return self._code


class LoaderForks:
    """What a server knows of the process that forks. Where there is none, or none any more, it starts one."""

    def __init__(self, connection: socket.socket | None = None, pid: int = 0) -> None:
        """Takes over one that was started; None for later."""
        self._connection = connection
        self._pid = pid
        self._used = threading.Lock()

    def fork(self, request: LoadRequest, checkpoint: Callable[[], None]) -> ForkedProcess:
        """A process that does what is asked for, as soon as the one before it has ended.

        Args:
            request: what to load.
            checkpoint: called while it is waited for; what it raises ends that.

        Raises:
            MachineError: where no process can be had.
        """
        self._used.acquire()
        try:
            for _ in range(_TRIES):
                if self._connection is None:
                    self._connection, self._pid = _spawn()
                process = self._asked(self._connection, request, checkpoint)
                if process is not None:
                    return process
                self._let_go()
            raise MachineError("the process that loads versions ends as soon as it starts; the log may say why")
        except BaseException:
            # What it may still answer is no answer to the next request.
            self._let_go()
            self._used.release()
            raise

    def _asked(
        self, connection: socket.socket, request: LoadRequest, checkpoint: Callable[[], None]
    ) -> ForkedProcess | None:
        """The process that was forked; None where there is nobody to ask any more."""
        ours, theirs = os.pipe()
        with ExitStack() as stack:
            stdout = stack.enter_context(os.fdopen(ours, "rb"))
            try:
                socket.send_fds(connection, [encode_request(request)], [theirs])
            except OSError:
                return None
            finally:
                os.close(theirs)
            answers = select.poll()  # `select` takes no number above 1,023, which many connections lead to
            answers.register(connection, select.POLLIN)
            # It may still be importing.
            while not answers.poll(_STEP_MS):
                checkpoint()
            pid = _received(connection)
            if not pid:
                return None
            stack.pop_all()
        return ForkedProcess(connection, int(pid), stdout, self._used)

    def close(self) -> None:
        """Ends it. It would end with this process anyway."""
        with self._used:
            self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)


def start_forks() -> LoaderForks:
    """Forks it from this process, which must have no other thread, and nothing open that only itself may hold."""
    ours, theirs = _connected()
    server = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return LoaderForks(ours, pid)
    try:
        end_with_parent(server, signal.SIGKILL)
        _serve(theirs)
    finally:
        # Whatever happens, nothing of the server's goes on here.
        os._exit(1)


def _spawn() -> tuple[socket.socket, int]:
    """Starts it from a process that has threads: it imports everything anew."""
    ours, theirs = _connected()
    with theirs:
        command = [sys.executable, "-m", __name__, str(os.getpid()), str(theirs.fileno())]
        kept = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), theirs.fileno())]  # else it is closed there
        return ours, os.posix_spawn(sys.executable, command, os.environ, file_actions=kept)


def _connected() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _serve(connection: socket.socket) -> NoReturn:
    # Of what it makes little is garbage, and looking for it takes a fifth of the time that the imports do.
    gc.disable()
    # The server's to handle; it ends this process.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _leave_open(connection)
    # What the server prints must have ended where it has.
    os.dup2(2, 1)
    try:
        import_loading()
    except Exception:
        _log.exception("What loading takes cannot be imported.")
        sys.exit(1)
    # So that what is forked shares its memory.
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 1)
        if not message:
            sys.exit()
        (stdout,) = descriptors
        _see_through(connection, message, stdout)


def _see_through(connection: socket.socket, message: bytes, stdout: int) -> None:
    """Forks a process, and keeps its id until nobody has a use for it."""
    this = os.getpid()
    pid = os.fork()
    if pid == 0:
        connection.close()
        _load(message, stdout, this)
    os.close(stdout)
    connection.send(b"%d" % pid)
    # None is for those that do not wait.
    ended = cast("os.waitid_result", os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT))
    connection.send(b"%d" % (ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status))
    if not _received(connection):
        sys.exit()
    os.waitpid(pid, 0)


def _load(message: bytes, stdout: int, parent: int) -> NoReturn:
    code = 1
    try:
        end_with_parent(parent, signal.SIGKILL)
        request = msgspec.json.decode(message, type=LoadRequest)
        be_modest(request.priority)
        with os.fdopen(stdout, "wb") as stream:
            load_into(request, stream)
        code = 0
    except BaseException:
        _log.exception("A version could not be loaded.")
    finally:
        # What the server, or a library, does at its end is not to be done here.
        os._exit(code)


def _leave_open(connection: socket.socket) -> None:
    """Closes what was open in the server; stdin says nothing to anybody."""
    kept = connection.fileno()
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor >= _STANDARD_STREAMS and descriptor != kept:
            with suppress(OSError):  # that of the directory itself
                os.close(descriptor)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)


def _received(connection: socket.socket) -> bytes:
    """The next message; empty where the other side is gone."""
    try:
        return connection.recv(_LARGEST_MESSAGE)
    except OSError:
        return b""


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    _serve(socket.socket(fileno=int(sys.argv[2])))
