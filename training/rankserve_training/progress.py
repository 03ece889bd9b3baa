"""Progress bars of a training."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from rankserve_training.model.backend import keras
from rankserve_training.moving import moves
from rankserve_training.towers.fitting import StageProgress

# Where there is no terminal, a line is printed for the last epoch of a stage, and in between no more often than this.
_SECONDS_BETWEEN_LINES = 2.0


class EpochBars(keras.callbacks.Callback):
    """A bar for each epoch with loss and RMSE, both on the label scale (0 to 1).

    Where the console is no terminal, each epoch prints one line when it is done.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._progress = _bars(console)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Shows the bars."""
        self._progress.start()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leaves the terminal as it was."""
        self.close()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch's bar."""
        self._title = f"epoch {epoch + 1}/{self.params['epochs']}"
        self._task = self._progress.add_task(self._title, total=self.params["steps"], figures="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the epoch's bar."""
        self._progress.update(self._task, completed=batch + 1, figures=_figures(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Says how the epoch ended."""
        if not moves(self._console):
            self._console.print(f"{self._title}  {_figures(logs)}")

    def close(self) -> None:
        """Gives the terminal back, also after an interrupt, when Keras does not call `on_train_end`."""
        self._progress.stop()


def _figures(logs: dict[str, Any] | None) -> str:
    return "  ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())


class StageBars:
    """A bar for each stage of a training, with the figure on the validation rows and the time that is left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = _bars(console)
        self._tasks: dict[str, TaskID] = {}
        self._printed_at = 0.0

    def __enter__(self) -> "StageBars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, progress: StageProgress) -> None:
        """Shows how an epoch ended."""
        log = progress.log
        figures = f"loss {log.loss:.4f}"
        if log.validation is not None:
            figures += f"  {progress.measure} {log.validation:.4f}"
        if log.epoch < progress.epochs:
            figures += f"  {progress.seconds_left:.0f} s left"
        if moves(self._console):
            task = self._tasks.get(progress.stage)
            if task is None:
                task = self._tasks[progress.stage] = self._progress.add_task(
                    progress.stage, total=progress.epochs, figures=""
                )
            self._progress.update(task, completed=log.epoch, figures=figures)
        elif log.epoch == progress.epochs or time.monotonic() - self._printed_at > _SECONDS_BETWEEN_LINES:
            self._console.print(f"{progress.stage} {log.epoch}/{progress.epochs}  {figures}")
            self._printed_at = time.monotonic()


def _bars(console: Console) -> Progress:
    """Bars with a name, how much is done, and the task's `figures`; nothing is shown where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console,
        disable=not moves(console),
    )
