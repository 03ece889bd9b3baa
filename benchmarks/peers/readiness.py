"""How a peer says that it is ready, and where all else that it prints goes."""

import os
import socket
import threading
import time
from pathlib import Path

_LOOK_EVERY = 0.05


class Readiness:
    """Takes the process's stdout; what the peer and its processes print from then on goes to a file."""

    def __init__(self, log: Path) -> None:
        self._stdout = os.fdopen(os.dup(1), "w")
        with log.open("w") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)

    def say(self) -> None:
        """It is ready."""
        print("ready", file=self._stdout, flush=True)

    def say_once_it_listens(self, port: int) -> None:
        """For a peer whose start does not return: waits for the port on another thread."""
        threading.Thread(target=self._wait_and_say, args=(port,), daemon=True).start()

    def _wait_and_say(self, port: int) -> None:
        while True:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(_LOOK_EVERY)
        self.say()
