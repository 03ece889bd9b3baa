"""The command `rankserve`, forked from a process that has imported what it needs.

That takes a small part of the processor time that it takes to start Python and to import gRPC, JAX or Keras for each.
From there on all is as it is for users: the command's own `main`, in a process of its own, with its output, signals and
exit code. Tests of starting itself, and of what is imported, start Python.
"""

import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Literal, NoReturn, Self, TypeAlias

import msgspec

from rankserve_server.parent import end_with_parent

_LARGEST_MESSAGE = 65_536
# What is imported: all that loading versions takes, or what the thin client does.
_Imports: TypeAlias = Literal["server", "client"]
# The first words of commands that load versions or models.
_LOADING = {"serve", "score", "verify", "publish"}
_OF_THE_CLIENT = (
    "rankserve_client",
    "rankserve_client.cli.rank",
    "rankserve_client.cli.models",
    "rankserve_client.bench.command",
    "rankserve_client.bench.processes",
    "rankserve_client.bench.report",
    "rankserve_client.gateway.running",
)


# A program that can be started as `rankserve` is: it has one forked, with its own stdin, stdout and stderr, passes on
# signals and ends as that does.
_PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({server!r} if set(sys.argv[1:3]) & {loading!r} else {client!r})
start = {{"arguments": sys.argv[1:], "directory": os.getcwd(), "environment": dict(os.environ)}}
socket.send_fds(connection, [json.dumps(start).encode()], [0, 1, 2])
pid = int(connection.recv(64))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
code = int(connection.recv(64))
sys.exit(code if code >= 0 else 128 - code)
"""


class _Start(msgspec.Struct):
    arguments: list[str]
    directory: str
    environment: dict[str, str]


class ForkedCommand:
    """What the tests use of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        stdout: int,
        stderr: int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Forks `rankserve` with these arguments; nothing can be read on its stdin."""
        self.args = ("rankserve", *arguments)
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(_address("server" if set(arguments[:2]) & _LOADING else "client"))
        start = _Start(list(arguments), str(cwd or Path.cwd()), dict(os.environ if env is None else env))
        with Path(os.devnull).open("rb") as stdin:
            socket.send_fds(self._connection, [msgspec.json.encode(start)], [stdin.fileno(), stdout, stderr])
        self.pid = int(self._connection.recv(_LARGEST_MESSAGE))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self._connection.close()

    def poll(self) -> int | None:
        """Its exit code; None where it has not ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its exit code."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._connection.recv(_LARGEST_MESSAGE))
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends it now."""
        self.send_signal(signal.SIGKILL)


class ForkedServer(ForkedCommand):
    """One whose stdout is read while it runs."""

    def __init__(self, arguments: tuple[str, ...], stderr: int, env: Mapping[str, str] | None = None) -> None:
        output, its_output = os.pipe()
        self.stdout = os.fdopen(output, "r", encoding="utf-8")
        try:
            super().__init__(arguments, its_output, stderr, env)
        finally:
            os.close(its_output)

    def __exit__(self, *errors: object) -> None:
        super().__exit__(*errors)
        self.stdout.close()

    def communicate(self, timeout: float) -> tuple[str, None]:
        """Waits for its end; gives what it has printed."""
        self.wait(timeout)
        return self.stdout.read(), None


def run_forked(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Runs `rankserve` with these arguments to its end; what `subprocess.run` does with it."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with ForkedCommand(arguments, output.fileno(), errors.fileno(), env, cwd) as command:
            try:
                code = command.wait(timeout)
            finally:
                command.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command.args, code, output.read().decode(), errors.read().decode())


def write_forked_rankserve(directory: Path) -> None:
    """Writes a program `rankserve` whose work a forked one does."""
    program = directory / "rankserve"
    addresses = {"server": _address("server"), "client": _address("client")}
    program.write_text(_PROGRAM.format(python=sys.executable, loading=_LOADING, **addresses), encoding="utf-8")
    program.chmod(0o755)


@functools.cache
def _address(imports: _Imports) -> str:
    """That of a process that forks, and ends with this one."""
    address = f"\0rankserve-tests-{os.getpid()}-{imports}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        _processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "integration.command_forks", str(os.getpid()), str(listener.fileno()), imports],
                stdin=subprocess.DEVNULL,
                pass_fds=[listener.fileno()],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
        )
    return address


# So that nobody takes them for forgotten ones.
_processes: list[subprocess.Popen[bytes]] = []


def _main() -> None:
    end_with_parent(int(sys.argv[1]), signal.SIGKILL)
    listener = socket.socket(fileno=int(sys.argv[2]))
    gc.disable()
    import_module("rankserve_client.cli")
    if sys.argv[3] == "server":
        _import_server()
    else:
        for name in _OF_THE_CLIENT:
            import_module(name)
    gc.freeze()
    gc.enable()
    while True:
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                listener.close()
                _keep(connection)
        _reap()


def _import_server() -> None:
    import rankserve_server.server
    from rankserve_server.loader_process import import_loading

    assert rankserve_server.server
    import_loading()


def _reap() -> None:
    """Those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _keep(connection: socket.socket) -> NoReturn:
    """Forks a command and tells of it, so that many of them can be waited for."""
    end_with_parent(os.getppid(), signal.SIGKILL)
    message, streams, _, _ = socket.recv_fds(connection, _LARGEST_MESSAGE, 3)
    this = os.getpid()
    pid = os.fork()
    if pid == 0:
        connection.close()
        end_with_parent(this, signal.SIGKILL)
        _run(msgspec.json.decode(message, type=_Start), streams)
    for stream in streams:
        os.close(stream)
    with suppress(OSError):  # who has started it may not be interested
        connection.send(b"%d" % pid)
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):
        connection.send(b"%d" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run(start: _Start, streams: list[int]) -> NoReturn:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # Those that there are know what kind of file was there before.
    for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        mode = "r" if descriptor == 0 else "w"
        file = os.fdopen(descriptor, mode, 1 if name == "stderr" else -1, encoding="utf-8", closefd=False)
        # By name, as the second ones are final for the types: they are those of another process here.
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)
    os.chdir(start.directory)
    os.environ.clear()
    os.environ.update(start.environment)
    from rankserve_client.cli import main

    sys.exit(main(start.arguments, "rankserve"))


if __name__ == "__main__":
    _main()
