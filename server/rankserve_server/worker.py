"""One of several server processes: `python -m rankserve_server.worker CONFIG`, started by the supervisor."""

import ctypes
import os
import signal
import sys

from rankserve_server.config import decode_config
from rankserve_server.running import run_server

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serves until it is told to stop, or the supervisor dies."""
    supervisor = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:  # it died before that was asked for
        sys.exit(1)
    reason = run_server(decode_config(sys.argv[1]))
    if reason is not None:
        sys.exit(f"Error: {reason}")


if __name__ == "__main__":
    main()
