"""Compiled programs, kept on disk: most of what the next version, worker or start would compile has been compiled.

A program takes the tables as arguments, so that it is the same for every version of the same shape. It is code: what is
kept must be as safe from others as the program that is installed.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle  # JAX has no other form for a program; read where this user alone may write, which is looked at first
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from jax.experimental import serialize_executable

from rankserve_server.engine.jax_setup import jax

_log = logging.getLogger(__name__)

# Some 100 kB each; a model has some 25.
_MOST_KEPT = 1_000
# What the compiler reads of the environment begins with these.
_COMPILER_SETTINGS = ("JAX_", "XLA_", "PJRT_")
_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass
class ProgramCounts:
    """How many programs were compiled in this process, and how many were found compiled."""

    compiled: int = 0
    reused: int = 0


counts = ProgramCounts()


class Program:
    """A compiled call, and what it is kept and handed over as."""

    __slots__ = ("_call", "content")

    def __init__(self, call: Callable[..., Any], content: bytes) -> None:
        self._call = call
        self.content = content

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)


class ProgramStore:
    """A directory of programs, of this user alone."""

    def __init__(self, directory: Path) -> None:
        """Makes it, if it is not there.

        Raises:
            OSError: where it cannot be made, or others could write into it.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if status.st_uid != os.geteuid() or status.st_mode & _FOR_OTHERS:
            raise PermissionError(f"{directory} can be written by others; programs are kept where nobody else can")
        self._directory = directory

    def compiled(self, key: str, compile_: Callable[[], Any]) -> Program:
        """The program of a key, compiled unless it is here."""
        path = self._directory / key
        found = _read(path)
        if found is not None:
            counts.reused += 1
            return found
        counts.compiled += 1
        call = compile_()
        program = Program(call, _content_of(call))
        self._keep(path, program)
        return program

    def _keep(self, path: Path, program: Program) -> None:
        try:
            descriptor, scratch = tempfile.mkstemp(prefix=".", dir=self._directory)
            with os.fdopen(descriptor, "wb") as file:
                file.write(program.content)
            Path(scratch).rename(path)
            self._make_room()
        except OSError as error:
            _log.warning("What was compiled is not kept: %s: %s.", path, error.strerror)

    def _make_room(self) -> None:
        """Those that were not used for longest go."""
        kept = [path for path in self._directory.iterdir() if not path.name.startswith(".")]
        if len(kept) > _MOST_KEPT:
            with contextlib.suppress(FileNotFoundError):  # another process does the same
                for path in sorted(kept, key=lambda path: path.stat().st_mtime)[: _MOST_KEPT // 4]:
                    path.unlink()


_store: ProgramStore | None = None


def keep_programs_in(directory: Path | None) -> None:
    """Where this process keeps its programs from now on; None for nowhere, which is how it is at first."""
    global _store
    _store = None
    # JAX's own cache gives programs that cannot be handed over.
    jax.config.update("jax_enable_compilation_cache", False)
    if directory is None:
        return
    try:
        _store = ProgramStore(directory)
    except OSError as error:
        _log.warning("What is compiled is not kept: %s.", error)


def compiled(function: Callable[..., Any], *arguments: Any, closed_over: object = None) -> Callable[..., Any]:
    """The program of a function for arguments of some shapes.

    Args:
        function: what JAX is to trace.
        arguments: arrays, or what JAX takes for their shapes.
        closed_over: for a function of this package, all that it takes from elsewhere than its arguments and the code
            of this package, with a `repr` that says it: a kept program is then found by that. Tracing a function just
            to know that it is the same takes longer than to load its program. None where nobody can say: it is traced.
    """
    jitted = jax.jit(function)
    if _store is None:
        counts.compiled += 1
        call: Callable[..., Any] = jitted.lower(*arguments).compile()
        return call
    if closed_over is not None:
        key = _key(function.__module__, function.__qualname__, repr(closed_over), _shapes(arguments), _own_code())
        return _store.compiled(key, lambda: jitted.lower(*arguments).compile())
    lowered = jitted.lower(*arguments)
    return _store.compiled(_key(lowered.as_text(), lowered.in_tree, lowered.out_tree), lowered.compile)


def content_of(call: Callable[..., Any]) -> bytes:
    """What a compiled call is kept and handed over as."""
    return call.content if isinstance(call, Program) else _content_of(call)


def loaded(content: bytes) -> Callable[..., Any]:
    """The compiled call, on a machine as the one that compiled it; it takes some milliseconds.

    Args:
        content: of a process of our own: what is in it is trusted as code is.
    """
    handed_over = pickle.loads(content)  # noqa: S301, written by our own processes, where nobody else can write
    call: Callable[..., Any] = serialize_executable.deserialize_and_load(*handed_over)
    return call


def _content_of(call: Any) -> bytes:
    return pickle.dumps(serialize_executable.serialize(call))


def _read(path: Path) -> Program | None:
    """A kept program; None where it is not there or cannot be used."""
    try:
        content = path.read_bytes()
        program = Program(loaded(content), content)  # nobody else can write there
        os.utime(path)
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever is wrong with it: it is compiled anew
        _log.warning("A compiled program could not be used: %s: %s", path, error)
        return None
    return program


def _key(*parts: object) -> str:
    """Of what is computed, with what it is compiled, and for which processor."""
    settings = sorted(item for item in os.environ.items() if item[0].startswith(_COMPILER_SETTINGS))
    made_by = (jax.__version__, metadata.version("jaxlib"), settings, _processor())
    return hashlib.sha256("\0".join(map(str, (*parts, *made_by))).encode()).hexdigest()


def _shapes(arguments: Any) -> str:
    leaves, structure = jax.tree.flatten(arguments)
    return f"{structure} {[(str(leaf.dtype), leaf.shape) for leaf in leaves]}"


@functools.cache
def _own_code() -> str:
    """Of this package, which has whatever its functions are made of but for what they close over."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return os.uname().machine
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "model name", "Features"))}))
