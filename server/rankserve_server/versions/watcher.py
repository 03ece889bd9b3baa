"""Looks at MODELS_DIR again and again while the server runs."""

import logging
import threading

from rankserve_server.errors import StoppingError
from rankserve_server.versions.repository import Repository

_log = logging.getLogger(__name__)


class Watcher:
    """A thread of its own: what it finds is loaded beside the versions that answer."""

    def __init__(self, repository: Repository, seconds: float) -> None:
        """Does not look yet.

        Args:
            repository: that is brought in line with its directory.
            seconds: between two looks; 0 for no look at all.
        """
        self._repository = repository
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rankserve-watch", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Looks from now on."""
        if self._seconds:
            self._thread.start()

    def stop(self) -> None:
        """Looks no more; a version that is being loaded is given up by the loader's checkpoint."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            try:
                self._repository.update()
            except StoppingError:
                return
            except Exception as error:  # whatever it is, the next look may fare better
                self._report(error)
            else:
                self._said = ""

    def _report(self, error: Exception) -> None:
        """Once, however often it comes back."""
        if repr(error) != self._said:
            self._said = repr(error)
            _log.error("The models directory could not be looked at.", exc_info=error)
