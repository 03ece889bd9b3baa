"""Logs for TensorBoard, where they are asked for."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rankserve_training.data.tfds_quiet import quiet_tfds
from rankserve_training.errors import MissingExtraError
from rankserve_training.model.backend import keras
from rankserve_training.towers.fitting import StageProgress


class TensorBoardLog:
    """Writes loss and validation figures of every epoch; nothing where no directory is given."""

    def __init__(self, directory: Path | None) -> None:
        """Writes to `directory`.

        Raises:
            MissingExtraError: where TensorBoard is not installed.
        """
        if directory is not None and find_spec("tensorboard") is None:
            raise MissingExtraError(
                "logs for TensorBoard need TensorBoard, which is not installed: pip install 'rankserve[tensorboard]'"
            )
        self._directory = directory
        self._writers: dict[str, Any] = {}

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """For a `model.fit` of several epochs."""
        return [] if self._directory is None else [keras.callbacks.TensorBoard(str(self._directory))]

    def stage(self, progress: StageProgress) -> None:
        """Writes the figures of an epoch, each stage as a run of its own."""
        if self._directory is None:
            return
        with quiet_tfds():
            import tensorflow as tf
        writer = self._writers.get(progress.stage)
        if writer is None:
            writer = tf.summary.create_file_writer(str(self._directory / progress.stage.replace(" ", "-")))
            self._writers[progress.stage] = writer
        with writer.as_default(step=progress.log.epoch):
            tf.summary.scalar("loss", progress.log.loss)
            if progress.log.validation is not None:
                tf.summary.scalar(progress.measure, progress.log.validation)
        writer.flush()
