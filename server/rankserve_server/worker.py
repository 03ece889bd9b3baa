"""One of several server processes: `python -m rankserve_server.worker SUPERVISOR CONFIG`, started by that one."""

import signal
import sys

from rankserve_server.config import decode_config
from rankserve_server.parent import end_with_parent
from rankserve_server.running import run_server


def main() -> None:
    """Serves until it is told to stop, or the supervisor dies."""
    end_with_parent(int(sys.argv[1]), signal.SIGTERM)
    reason = run_server(decode_config(sys.argv[2]))
    if reason is not None:
        sys.exit(f"Error: {reason}")


if __name__ == "__main__":
    main()
