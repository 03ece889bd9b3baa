"""What a process holds on to."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Figures:
    """At one moment.

    Attributes:
        resident_kib: memory. What malloc keeps of it goes up and down by a quarter; the least of several says more.
        files: open files, connections among them.
        threads: of the process.
    """

    resident_kib: int
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """Reads them from /proc."""
        process = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
        files = len(list((process / "fd").iterdir()))
        return cls(int(status["VmRSS"].split()[0]), files, int(status["Threads"]))


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used so far."""
    # The name of the program, in brackets, may hold anything; what follows is numbers.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return (user + system) / os.sysconf("SC_CLK_TCK")
