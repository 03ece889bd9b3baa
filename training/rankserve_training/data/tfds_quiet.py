"""TensorFlow Datasets without its noise: neither it nor TensorFlow writes to the user's terminal."""

import contextlib
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rankserve_training.data.errors import DataError


@contextmanager
def quiet_tfds() -> Iterator[Any]:
    """Imports `tensorflow_datasets` and hands it out, for use inside the block.

    While the block runs, warnings and log lines below "error" are dropped.

    Raises:
        DataError: if TensorFlow or TFDS is not installed.
    """
    with warnings.catch_warnings(), _quiet_logs():
        warnings.simplefilter("ignore")
        try:
            yield _import_tfds()
        except ModuleNotFoundError as error:
            raise DataError(
                f"MovieLens is read with TensorFlow Datasets, but the module {error.name} is not installed; "
                "install rankserve[training]"
            ) from error


def import_tensorflow_quietly() -> None:
    """Imports TensorFlow, if it is installed, before Keras does so to save a model; it would write to the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules:
        with contextlib.suppress(ModuleNotFoundError), _closed_stderr():
            import tensorflow  # noqa: F401, for its effect


def no_prints() -> contextlib.redirect_stdout[io.StringIO]:
    """A block in which nothing is printed: TFDS prints what it prepares, and there is no option against it."""
    return contextlib.redirect_stdout(io.StringIO())


def _import_tfds() -> Any:
    # Heeded by TensorFlow's C++ side if set before the import; a user who has set it wants to see something.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.nullcontext() if "tensorflow" in sys.modules else _closed_stderr():
        import tensorflow as tf
        import tensorflow_datasets as tfds

        # TensorFlow only reads records here, and would take the GPU memory that JAX needs. Not possible any more if
        # something else in the process has used it with a GPU.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    tfds.disable_progress_bar()
    return tfds


@contextmanager
def _closed_stderr() -> Iterator[None]:
    """Drops what is written to file descriptor 2.

    While it is imported, TensorFlow writes there from C++ whatever the log level:
    https://github.com/tensorflow/tensorflow/issues/100442
    """
    sys.stderr.flush()
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def _quiet_logs() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("absl", "tensorflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
