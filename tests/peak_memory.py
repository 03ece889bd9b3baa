"""The most memory that a process has held."""

from pathlib import Path

# A new process that is started here can import this.
TESTS = Path(__file__).parent


def peak_bytes() -> int:
    """Of this process.

    Not `ru_maxrss`, which in a new process begins with what the one that started it held: under a large test run it
    says that nothing was taken.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
