"""Ctrl-C during `model.fit`."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from rankserve_training.model.backend import keras


class InterruptBetweenBatches(keras.callbacks.Callback):
    """Holds Ctrl-C back until the batch is done, then raises KeyboardInterrupt; a second one is not held back.

    Raised in the middle of a batch, it is lost where JAX calls back into Python: training then goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    def __enter__(self) -> "InterruptBetweenBatches":
        self._previous = signal.getsignal(signal.SIGINT)
        # Only the main thread may; and where Ctrl-C is ignored, as in the background of a shell, it stays so.
        self._installed = threading.current_thread() is threading.main_thread() and self._previous is not signal.SIG_IGN
        if self._installed:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the training, if asked to."""
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, self._previous)
