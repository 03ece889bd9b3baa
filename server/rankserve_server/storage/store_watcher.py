"""Looks at the store again and again while the server runs."""

import logging
import random
import threading

from rankserve_server.errors import StoppingError
from rankserve_server.storage.mirror import Mirror
from rankserve_training.artifact.storage.errors import StoreError

_log = logging.getLogger(__name__)
_LONGEST_PAUSE_SECONDS = 60.0
# A store that does not answer holds nobody up who wants to stop.
_STOP_SECONDS = 2.0


class StoreWatcher:
    """A thread of its own: what it brings, the watcher of the cache finds."""

    def __init__(self, mirror: Mirror, seconds: float) -> None:
        """Does not look yet.

        Args:
            mirror: of the store.
            seconds: between two looks, longer after each failure in a row; 0 for no look at all.
        """
        self._mirror = mirror
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rankserve-store", daemon=True)
        self._said = ""

    def start(self) -> None:
        """Looks from now on."""
        if self._seconds:
            self._thread.start()

    def stop(self) -> None:
        """Looks no more; a version that is being copied is given up."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        pause = self._seconds
        # Not all replicas at the same time.
        while not self._over.wait(pause * random.uniform(0.9, 1.1)):  # noqa: S311  # no secret
            try:
                self._mirror.look(fresher_than=self._seconds / 2)
            except StoppingError:
                return
            except StoreError as error:
                self._report(str(error))
                pause = max(self._seconds, min(2 * pause, _LONGEST_PAUSE_SECONDS))
            except Exception:  # whatever it is, the next look may fare better
                _log.exception("The store could not be looked at.")
                pause = max(self._seconds, min(2 * pause, _LONGEST_PAUSE_SECONDS))
            else:
                self._report("")
                pause = self._seconds

    def _report(self, problem: str) -> None:
        """Once, however often it comes back; and when it is over."""
        if problem == self._said:
            return
        if problem:
            _log.warning("The store cannot be used, and what is here is served on: %s", problem)
        else:
            _log.info("The store can be used again.")
        self._said = problem
