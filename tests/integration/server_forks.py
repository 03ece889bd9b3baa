"""Servers forked from a process that has imported what they need.

Starting one takes a quarter of the processor time that it takes to start Python, JAX and Keras for each. From there on
all is as it is for users: the command's own `main`, in a process of its own, on a real port. Tests of starting itself
start Python.
"""

import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec

from rankserve_server.parent import end_with_parent

_LARGEST_MESSAGE = 65_536


class _Start(msgspec.Struct):
    arguments: list[str]
    directory: str
    environment: dict[str, str]


class ForkedServer:
    """What the tests use of `subprocess.Popen`."""

    def __init__(self, arguments: Sequence[str], stderr: BinaryIO) -> None:
        output, its_output = os.pipe()
        told, tells = os.pipe()
        start = _Start(list(arguments), str(Path.cwd()), dict(os.environ))
        connection, _ = _forking()
        socket.send_fds(connection, [msgspec.json.encode(start)], [its_output, stderr.fileno(), tells])
        os.close(its_output)
        os.close(tells)
        self.stdout = os.fdopen(output, "r", encoding="utf-8")
        self._told = os.fdopen(told, "r", encoding="utf-8")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def __enter__(self) -> "ForkedServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self.stdout.close()
        self._told.close()

    def poll(self) -> int | None:
        """Its exit code; None where it has not ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its exit code."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("rankserve", timeout or 0.0)
            self.returncode = int(self._told.readline())
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Waits for its end; gives what it has printed."""
        self.wait(timeout)
        return self.stdout.read(), None

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it now."""
        self.send_signal(signal.SIGKILL)


@functools.cache
def _forking() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that forks, which ends with this one, and the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "integration.server_forks", str(os.getpid()), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
    return ours, process


def _main() -> None:
    end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    connection = socket.socket(fileno=int(sys.argv[2]))
    gc.disable()
    import rankserve_server.server
    from rankserve_server.loader_process import import_loading

    assert rankserve_server.server
    import_loading()
    gc.freeze()
    gc.enable()
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 3)
        if not message:
            return
        if os.fork() == 0:
            connection.close()
            _keep(msgspec.json.decode(message, type=_Start), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap()


def _reap() -> None:
    """Those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _keep(start: _Start, stdout: int, stderr: int, tells: int) -> NoReturn:
    """Forks a server and tells of it, so that many of them can be waited for."""
    end_with_parent(os.getppid(), signal.SIGKILL)
    this = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(tells)
        end_with_parent(this, signal.SIGKILL)
        _serve(start, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(tells, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(tells, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _serve(start: _Start, stdout: int, stderr: int) -> NoReturn:
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    os.chdir(start.directory)
    os.environ.clear()
    os.environ.update(start.environment)
    from rankserve_client.cli import main

    sys.exit(main(["serve", *start.arguments], "rankserve"))


if __name__ == "__main__":
    _main()
