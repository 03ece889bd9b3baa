"""What can keep a version from being served that is as it should be: above all, too little memory."""

import os
from pathlib import Path

from rankserve_training.artifact import ArtifactError

_MIB = 1024 * 1024
_KIB = 1024
# Beside the tables themselves: what it takes to read them, and to answer with two versions.
_HEADROOM = 1.1
_MEMINFO = Path("/proc/meminfo")
_STATM = Path("/proc/self/statm")
_CGROUP = Path("/sys/fs/cgroup")


class MachineError(ArtifactError):
    """The machine, or how the server was started, is to blame, and not the version: another start may fare better."""

    fault = "machine"


class MemoryShortageError(MachineError):
    """There is too little memory for a version."""

    fault = "memory"


def check_memory(needed: int, max_memory_mib: int | None) -> None:
    """Makes sure that so many bytes can be taken beside what is held already.

    Args:
        needed: bytes.
        max_memory_mib: what this process may hold in all; None for what the machine, or its container, has left.

    Raises:
        MemoryShortageError: saying how much is missing of what.
    """
    wanted = round(needed * _HEADROOM)
    if max_memory_mib is not None and (held := _held()) + wanted > max_memory_mib * _MIB:
        raise MemoryShortageError(
            f"it takes {_mib(wanted)} beside the {_mib(held)} that the server holds, and --max-memory-mib allows "
            f"{max_memory_mib:,} MiB"
        )
    left = _available()
    if left is not None and wanted > left:
        raise MemoryShortageError(f"it takes {_mib(wanted)} and the machine has {_mib(left)} left")


def _held() -> int:
    """Bytes of this process that are in memory."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def _available() -> int | None:
    """Bytes that can be taken without pushing anything out; None where nothing says so."""
    known = [left for left in (_left_on_machine(), _left_in_container()) if left is not None]
    return min(known, default=None)


def _left_on_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_container() -> int | None:
    """Of version 2 of Linux's control groups, which is what containers are limited by."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used)


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
