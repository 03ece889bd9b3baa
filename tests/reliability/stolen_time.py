"""What a hypervisor gives of this machine's processors to others, while something is measured."""

import os
import threading
import time
from pathlib import Path
from typing import Final, Self

_EVERY_SECONDS: Final = 0.5
# Place in a line of /proc/stat, after its name.
_STEAL: Final = 7


class StolenTime:
    """Looks at it for as long as the block runs. Machines that are not virtual, or do not tell, have nothing stolen."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        # When each piece of time ended, on the clock of `time.perf_counter`, and the share of all processors.
        self._pieces: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def most(self, start: float, end: float) -> float:
        """The greatest share that was stolen of any half second between two times, from 0 to 1."""
        shares = (share for at, share in self._pieces if start <= at <= end + _EVERY_SECONDS)
        return max(shares, default=0.0)

    def _look(self) -> None:
        ticks_a_second = os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
        before, since = _stolen(), time.perf_counter()
        while not self._over.wait(_EVERY_SECONDS):
            stolen, now = _stolen(), time.perf_counter()
            self._pieces.append((now, (stolen - before) / ticks_a_second / (now - since)))
            before, since = stolen, now


def _stolen() -> int:
    """Ticks since the machine started, of all processors."""
    return int(Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0].split()[1 + _STEAL])
