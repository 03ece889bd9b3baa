"""A process that ends when the one that has started it does, however that ends."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, by: signal.Signals) -> None:
    """Has this process end by a signal as soon as its parent has ended; at once where it has already.

    Args:
        parent: its process id, as it says itself: who asks the kernel may be told of whoever has adopted an orphan.
        by: the signal.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it ended before that was asked for
        sys.exit(1)
