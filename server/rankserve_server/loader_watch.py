"""Watches a process that loads a version: bounds it, and halts it where those who are served want the processors."""

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from rankserve_server.loader_messages import Priority
from rankserve_training.artifact import ArtifactError

_log = logging.getLogger(__name__)

# The fault of a version that the process that loads it does not survive.
CRASHED = "crashed"

# Not counting the time for which it is halted.
_MOST_SECONDS = 900.0
_STEP_SECONDS = 0.01
# Beside a serving version a load has what nobody else wants of the processors. That takes something from those who are
# served all the same: caches, the memory's bandwidth, and the moments in which many calls come at once. So where it has
# to wait for a processor for more than the first share of the time, and this server uses more than the second of one,
# it is halted for nine tenths of the time. On two processors, beside 70 % of what can be answered, 99 % of the answers
# take 1.05 times as long then as without a load; 1.64 times where it is halted for four fifths, and 4 times where it
# never is.
_WANTED_FROM = 0.1
_SERVING_FROM = 0.2
# Of a processor, from its beginning: where it has had less, as others want them too, it is not halted, so as to end. At
# 70 % of what can be answered a load takes 9 s then; with 0.02 it was 18 to 28 s, and no less was felt of it in all.
_LEAST_SHARE = 0.05
_SHARE_WHERE_WANTED = 0.1
# Of the time that it may run. To look takes a file for each of its threads.
_LOOK_SECONDS = 0.05
# Where it has waited so long, and has run for less than a part of that, nothing is left for it: it would never end.
_STARVED_SECONDS = 2.0
_STARVED_SHARE = 0.05


class Process(Protocol):
    """What is watched."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def kill(self) -> None:
        """Ends it at once."""

    def send_signal(self, number: signal.Signals, /) -> None:
        """Sends it a signal; nothing happens where it has ended."""


class StarvedError(Exception):
    """A process that has what others leave is left nothing."""


class LoaderWatch:
    """Watches a process for as long as its result is awaited.

    It is ended where it takes too long, nobody wants its result any more, or it gets no processor.
    """

    def __init__(self, process: Process, checkpoint: Callable[[], None], priority: Priority) -> None:
        """Starts with the context.

        Args:
            process: has this priority.
            checkpoint: called again and again; what it raises ends the process.
            priority: with `idle` it is halted while others want the processors.
        """
        self._process = process
        self._checkpoint = checkpoint
        self._gives_way = priority == "idle"
        self._processor_time = ProcessorTime(process.pid)
        self._ran = self._waited = 0.0
        self._looked = time.monotonic(), time.process_time()
        self._began, _ = self._looked
        self._is_wanted = False
        self._over = threading.Event()
        self._found: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="rankserve-load-watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def raise_found(self) -> None:
        """Raises what ended the process, if it was the watch.

        Raises:
            StarvedError: where others leave it nothing of the processors.
            ArtifactError: where it took too long.
            BaseException: what the checkpoint raised.
        """
        if self._found is not None:
            raise self._found

    def _run(self) -> None:
        try:
            self._watch()
        except BaseException as error:  # whatever it is, it belongs to the thread that waits
            self._found = error
            self._process.kill()

    def _watch(self) -> None:
        ran = looked = 0.0
        since = time.monotonic()
        while not self._over.wait(_STEP_SECONDS):
            self._checkpoint()
            step = time.monotonic() - since
            ran += step
            if ran > _MOST_SECONDS:
                raise ArtifactError(f"loading takes more than {_MOST_SECONDS:g} s; it was ended", CRASHED)
            if self._gives_way and ran - looked > _LOOK_SECONDS:
                self._look(ran - looked)
                looked = ran
            if self._is_wanted and not self._lags():
                self._halt(step * (1 / _SHARE_WHERE_WANTED - 1))
            since = time.monotonic()

    def _look(self, seconds: float) -> None:
        """Notes whether others want the processors too; `seconds` have gone since the last look."""
        ran, waited = self._processor_time.look()
        self._ran += ran
        self._waited += waited
        if self._waited > _STARVED_SECONDS and self._ran < _STARVED_SHARE * self._waited:
            raise StarvedError
        is_serving = self._own_share() > _SERVING_FROM
        # How long it waits is told once it runs again: where it has hardly done either, nothing new is known.
        if not is_serving or ran + waited > _WANTED_FROM * seconds:
            self._note_wanted(is_serving and waited > _WANTED_FROM * seconds)

    def _lags(self) -> bool:
        return self._ran < _LEAST_SHARE * (time.monotonic() - self._began)

    def _own_share(self) -> float:
        """How much of a processor this process has used since the last look."""
        (wall_before, own_before), self._looked = self._looked, (time.monotonic(), time.process_time())
        wall, own = self._looked
        return (own - own_before) / (wall - wall_before)

    def _note_wanted(self, is_wanted: bool) -> None:
        if is_wanted and not self._is_wanted:
            _log.debug("The server wants the processors: what loads is halted for nine tenths of the time.")
        self._is_wanted = is_wanted

    def _halt(self, seconds: float) -> None:
        self._process.send_signal(signal.SIGSTOP)
        self._over.wait(seconds)
        self._process.send_signal(signal.SIGCONT)


class ProcessorTime:
    """What a process has had of the processors, from look to look."""

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")
        self._before: dict[str, tuple[float, float]] = {}
        self.look()

    def look(self) -> tuple[float, float]:
        """What there was since the last look; nothing where the kernel does not say, or the process has ended.

        Returns:
            Seconds that its threads ran, in all; and that one of them was ready to run and had no processor, of that
            which has waited longest: where the compiler's threads get none, the one that has started them sleeps.
        """
        ran = waited = 0.0
        found: dict[str, tuple[float, float]] = {}
        for path in self._threads.glob("*/schedstat"):
            with suppress(OSError, ValueError):  # the thread has ended
                its_ran, its_waited, _ = (int(part) / 1e9 for part in path.read_text(encoding="utf-8").split())
                found[path.parent.name] = its_ran, its_waited
                ran_before, waited_before = self._before.get(path.parent.name, (0.0, 0.0))
                ran, waited = ran + its_ran - ran_before, max(waited, its_waited - waited_before)
        self._before = found
        return ran, waited
