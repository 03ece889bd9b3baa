"""Progress bars for `model.fit`."""

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rankserve_training.model.backend import keras


class EpochBars(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """A bar for each epoch with loss and RMSE, both on the label scale (0 to 1).

    Where the console is no terminal, each epoch prints one line when it is done.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002, the names are Keras' own
        """Shows the bars."""
        self._progress.start()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Leaves the terminal as it was."""
        self.close()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Adds the epoch's bar."""
        self._title = f"epoch {epoch + 1}/{self.params['epochs']}"
        self._task = self._progress.add_task(self._title, total=self.params["steps"], figures="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the epoch's bar."""
        self._progress.update(self._task, completed=batch + 1, figures=_figures(logs))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Says how the epoch ended."""
        if not self._console.is_terminal:
            self._console.print(f"{self._title}  {_figures(logs)}")

    def close(self) -> None:
        """Gives the terminal back, also after an interrupt, when Keras does not call `on_train_end`."""
        self._progress.stop()


def _figures(logs: dict[str, Any] | None) -> str:
    return "  ".join(f"{name} {float(value):.4f}" for name, value in (logs or {}).items())
