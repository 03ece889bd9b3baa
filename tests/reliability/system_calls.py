"""Runs a function in a forked process and has its system calls recorded, refused or made its last ones.

The kernel does this for a debugger (ptrace), so it holds for every call whatever makes it: os, io, zipfile, shutil. It
is for processes without threads, and written for one kind of processor.
"""

import ctypes
import os
import platform
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KILL: Final = "kill"
_TRACEME, _GETREGS, _SETREGS, _NEXT_CALL, _SETOPTIONS = 0, 12, 13, 24, 0x4200
# Stops of calls are told from signals, and the process dies with its tracer.
_OPTIONS: Final = 0x1 | 0x100000
_CALL_STOP: Final = signal.SIGTRAP | 0x80
_REGISTERS: Final = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax "
    "rip cs eflags rsp ss fs_base gs_base ds es fs gs"
)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.restype = ctypes.c_long
_LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
# Nothing that is traced makes this one by itself.
_MARK: Final = 24  # sched_yield
_NO_CALL: Final = 2**64 - 1

# Those that have to do with files, and where their arguments are: `d` a descriptor, `p` a path, `-` something else.
FILE_CALLS: Final = {
    0: ("read", "d"),
    1: ("write", "d"),
    2: ("open", "p"),
    3: ("close", "d"),
    4: ("stat", "p"),
    5: ("fstat", "d"),
    6: ("lstat", "p"),
    17: ("pread64", "d"),
    18: ("pwrite64", "d"),
    20: ("writev", "d"),
    40: ("sendfile", "d"),
    73: ("flock", "d"),
    74: ("fsync", "d"),
    75: ("fdatasync", "d"),
    77: ("ftruncate", "d"),
    82: ("rename", "pp"),
    83: ("mkdir", "p"),
    84: ("rmdir", "p"),
    86: ("link", "pp"),
    87: ("unlink", "p"),
    88: ("symlink", "pp"),
    90: ("chmod", "p"),
    91: ("fchmod", "d"),
    217: ("getdents64", "d"),
    257: ("openat", "-p"),
    258: ("mkdirat", "-p"),
    262: ("newfstatat", "-p"),
    263: ("unlinkat", "-p"),
    264: ("renameat", "-p-p"),
    268: ("fchmodat", "-p"),
    316: ("renameat2", "-p-p"),
    332: ("statx", "-p"),
}
_WHERE: Final = ("rdi", "rsi", "rdx", "r10")


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in _REGISTERS.split()]


@dataclass(frozen=True)
class SystemCall:
    """One call on a file.

    Attributes:
        name: such as `openat`.
        paths: of what it is about.
    """

    name: str
    paths: tuple[str, ...]


# What becomes of the call with this number, from 0 on: None for nothing, an errno, or KILL.
Decide = Callable[[int, SystemCall], "int | str | None"]


def mark() -> None:
    """Where it is called for the first time the recording begins, and where for the second it ends."""
    os.sched_yield()


def why_not() -> str | None:
    """Why this cannot be done here; None where it can."""
    if platform.machine() != "x86_64":
        return f"written for x86_64, not {platform.machine()}"
    try:
        run(mark, lambda _number, _call: None)
    except OSError as error:
        return f"ptrace is not allowed here: {error}"
    return None


def run(function: Callable[[], None], decide: Decide) -> list[SystemCall]:
    """Runs a function in a process of its own; returns its file calls between its two marks.

    Raises:
        OSError: where the kernel does not allow it.
        RuntimeError: where the function raises.
    """
    pid = os.fork()
    if pid == 0:
        _be_traced(function)
    try:
        return _Tracer(pid, decide).calls()
    finally:
        _make_sure_that_it_is_gone(pid)


def _be_traced(function: Callable[[], None]) -> None:
    status = 1
    try:
        _ptrace(_TRACEME, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        function()
        status = 0
    finally:
        os._exit(status)


class _Tracer:
    def __init__(self, pid: int, decide: Decide) -> None:
        self._pid = pid
        self._decide = decide
        self._recording = False
        self._calls: list[SystemCall] = []

    def calls(self) -> list[SystemCall]:
        _, status = os.waitpid(self._pid, 0)
        if not os.WIFSTOPPED(status):
            raise PermissionError("the process could not ask to be traced")
        _ptrace(_SETOPTIONS, self._pid, _OPTIONS)
        while self._stops():
            registers = _Registers()
            _ptrace(_GETREGS, self._pid, ctypes.addressof(registers))
            fate = self._fate(registers)
            if fate == KILL:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                return self._calls
            if isinstance(fate, int):
                self._refuse(registers, fate)
            elif not self._stops():  # it has been made
                break
        return self._calls

    def _stops(self) -> bool:
        """Lets the process run up to where a call begins or ends; False where the process has ended."""
        _ptrace(_NEXT_CALL, self._pid)
        while True:
            _, status = os.waitpid(self._pid, 0)
            if not os.WIFSTOPPED(status):
                if os.waitstatus_to_exitcode(status) != 0:
                    raise RuntimeError(f"the traced process ended with {os.waitstatus_to_exitcode(status)}")
                return False
            if os.WSTOPSIG(status) == _CALL_STOP:
                return True
            _ptrace(_NEXT_CALL, self._pid, os.WSTOPSIG(status))

    def _fate(self, registers: _Registers) -> "int | str | None":
        number = registers.orig_rax
        if number == _MARK:
            self._recording = not self._recording
        if not self._recording or number not in FILE_CALLS:
            return None
        call = self._describe(registers)
        self._calls.append(call)
        return self._decide(len(self._calls) - 1, call)

    def _describe(self, registers: _Registers) -> SystemCall:
        name, kinds = FILE_CALLS[registers.orig_rax]
        paths = []
        for kind, where in zip(kinds, _WHERE, strict=False):
            if kind == "d":
                paths.append(self._path_of(getattr(registers, where)))
            elif kind == "p":
                paths.append(self._text_at(getattr(registers, where)))
        return SystemCall(name, tuple(paths))

    def _path_of(self, descriptor: int) -> str:
        try:
            return str(Path(f"/proc/{self._pid}/fd/{descriptor}").readlink())
        except OSError:
            return ""

    def _text_at(self, address: int) -> str:
        with open(f"/proc/{self._pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123, it is no file
            memory.seek(address)
            return memory.read(4_096).split(b"\0")[0].decode(errors="replace")

    def _refuse(self, registers: _Registers, errno: int) -> None:
        """Has the call fail. One that closes is made all the same, as the kernel does where closing fails."""
        if FILE_CALLS[registers.orig_rax][0] != "close":
            registers.orig_rax = _NO_CALL
            _ptrace(_SETREGS, self._pid, ctypes.addressof(registers))
        if self._stops():
            _ptrace(_GETREGS, self._pid, ctypes.addressof(registers))
            registers.rax = 2**64 - errno
            _ptrace(_SETREGS, self._pid, ctypes.addressof(registers))


def _make_sure_that_it_is_gone(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _ptrace(request: int, pid: int, data: int = 0) -> None:
    """All requests used here take their argument as `data`."""
    if _LIBC.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")
