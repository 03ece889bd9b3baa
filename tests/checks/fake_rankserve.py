"""Stands in for `rankserve` in the tests of the demo script. FAKE_FAULT says what goes wrong."""

import os
import signal
import sys
import time
from pathlib import Path


def main(command: str, arguments: list[str]) -> int:
    fault = os.environ.get("FAKE_FAULT", "")
    with Path(os.environ["FAKE_CALLS"]).open("a", encoding="utf-8") as calls:
        print(command, *arguments, file=calls)
    if fault == f"{command} fails":
        print(f"{command}: out of luck", file=sys.stderr)
        return 1
    if command == "serve":
        return _serve(fault)
    if fault == f"{command} hangs":
        time.sleep(60)
    print(f"{command} done")
    return 0


def _serve(fault: str) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if fault == "serve ignores SIGTERM" else _terminated)
    Path(os.environ["FAKE_PID"]).write_text(str(os.getpid()), encoding="utf-8")
    if fault == "serve dies later":
        time.sleep(0.5)
        print("error: cannot listen on 127.0.0.1: the port is taken", file=sys.stderr)
        return 1
    print("loading")
    if fault != "serve is never ready":
        print("rankserve ready on 127.0.0.1:50061", flush=True)
    time.sleep(60)
    return 0


def _terminated(*_: object) -> None:
    sys.exit(3 if os.environ.get("FAKE_FAULT") == "serve stops badly" else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
