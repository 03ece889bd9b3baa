"""Epochs, with a look at the validation rows after each, and a checkpoint to go on from."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from rankserve_training.artifact.columns import Columns, read_columns, write_columns
from rankserve_training.interrupts import InterruptBetweenBatches
from rankserve_training.memory import give_back, giving_back_after_compilation
from rankserve_training.model.backend import keras
from rankserve_training.towers.errors import CheckpointError
from rankserve_training.towers.user_batches import PlannedBatches


class EpochLog(msgspec.Struct, frozen=True):
    """What an epoch came to.

    Attributes:
        epoch: from 1.
        loss: on the training rows, with dropout.
        validation: the figure on the validation rows; None where none are held out.
    """

    epoch: int
    loss: float
    validation: float | None


@dataclass(frozen=True)
class StageProgress:
    """What is shown of a stage while it runs.

    Attributes:
        stage: what is trained, in words.
        measure: what is measured on the validation rows, such as `RMSE`.
        epochs: how many there will be at most.
        log: of the epoch that has just ended.
        seconds_left: of this stage, estimated.
    """

    stage: str
    measure: str
    epochs: int
    log: EpochLog
    seconds_left: float


@dataclass(frozen=True)
class Validation:
    """How to look at validation rows.

    Attributes:
        measure: its name.
        figure: measures the model as it is.
        lower_is_better: which way it improves.
        patience: epochs without improvement after which the stage ends.
    """

    measure: str
    figure: Callable[[], float]
    lower_is_better: bool
    patience: int


def best_epoch(logs: Sequence[EpochLog], lower_is_better: bool) -> int:
    """The epoch, from 1, with the best figure; the first of equal ones."""
    sign = 1 if lower_is_better else -1
    return min(logs, key=lambda log: math.inf if log.validation is None else sign * log.validation).epoch


class KeepsStates(Protocol):
    """Where states are kept; see `Checkpoints`."""

    def save(self, stage: str, model: keras.Model, logs: list[EpochLog]) -> None: ...

    def restore(self, stage: str, model: keras.Model) -> list[EpochLog]: ...


@dataclass
class Stage:
    """One fit.

    Attributes:
        name: in words; unique within a training.
        model: compiled.
        batches: what it is trained on.
        epochs: how many at most.
        validation: None where all rows are trained on.
        checkpoints: None where none are kept.
        listeners: told of every epoch.
        logs: of the epochs so far.
    """

    name: str
    model: keras.Model
    batches: PlannedBatches
    epochs: int
    validation: Validation | None
    checkpoints: "KeepsStates | None"
    listeners: Sequence[Callable[[StageProgress], None]]
    logs: list[EpochLog] = field(default_factory=list)

    def run(self) -> list[EpochLog]:
        """Trains to the end, or from the last checkpoint to it."""
        # What the initial weights were drawn in.
        give_back()
        if self.checkpoints:
            # So that there is somewhere to restore to; the towers make their own variables at once.
            self.model.optimizer.build(self.model.trainable_variables)
            self.logs = self.checkpoints.restore(self.name, self.model)
        started, done_before = time.monotonic(), len(self.logs)
        while len(self.logs) < self.epochs and not self._out_of_patience():
            self._epoch(len(self.logs))
            if self.checkpoints:
                self.checkpoints.save(self.name, self.model, self.logs)
            each = (time.monotonic() - started) / (len(self.logs) - done_before)
            measure = self.validation.measure if self.validation else ""
            left = each * (self.epochs - len(self.logs))
            for listener in self.listeners:
                listener(StageProgress(self.name, measure, self.epochs, self.logs[-1], left))
        return self.logs

    def _epoch(self, epoch: int) -> None:
        self.batches.begin_epoch(epoch)
        with InterruptBetweenBatches() as interrupts, giving_back_after_compilation():
            history = self.model.fit(
                self.batches,
                epochs=epoch + 1,
                initial_epoch=epoch,
                shuffle=False,
                verbose=0,
                callbacks=[interrupts],
            )
        figure = self.validation.figure() if self.validation else None
        self.logs = [*self.logs, EpochLog(epoch + 1, float(history.history["loss"][-1]), figure)]

    def _out_of_patience(self) -> bool:
        if self.validation is None or not self.logs:
            return False
        return len(self.logs) - best_epoch(self.logs, self.validation.lower_is_better) >= self.validation.patience


@dataclass(frozen=True)
class State:
    """What is kept of a stage.

    Attributes:
        values: of the model's `state_variables`.
        logs: of the epochs so far.
    """

    values: list[npt.NDArray[Any]]
    logs: list[EpochLog]


class Checkpoints:
    """The state of a training after each epoch of each stage, in one directory.

    A state replaces the one before in one step, so that whenever the process dies there is a whole one.
    """

    def __init__(self, directory: Path, identity: Mapping[str, Any]) -> None:
        """Uses `directory`, which is made if it does not exist.

        Args:
            directory: where states are kept.
            identity: what tells this training from others.

        Raises:
            CheckpointError: where it has the states of another training, or cannot be written.
        """
        self._directory = directory
        path = directory / "training.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _replace(path, msgspec.json.format(msgspec.json.encode(identity)) + b"\n")
                return
        except OSError as error:
            raise CheckpointError(f"checkpoints cannot be kept in {directory}: {error.strerror}") from error
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        other = [name for name, value in identity.items() if found.get(name) != value]
        if other:
            raise CheckpointError(
                f"{directory} has the checkpoints of another training, whose {' and '.join(other)} differ; give "
                "another directory, or delete this one"
            )

    def save(self, stage: str, model: keras.Model, logs: list[EpochLog]) -> None:
        """Keeps the weights, the optimizer's, the random states and the logs."""
        self.write(stage, State([np.asarray(variable.value) for variable in state_variables(model)], logs))

    def restore(self, stage: str, model: keras.Model) -> list[EpochLog]:
        """Gives the model the state that was kept; the logs, none where there is no state."""
        variables = state_variables(model)
        state = self.read(stage, len(variables))
        if state is None:
            return []
        for variable, value in zip(variables, state.values, strict=True):
            assign_fitting(variable, value)
        return state.logs

    def write(self, stage: str, state: "State") -> None:
        """Puts a state in the place of the one before."""
        columns: Columns = {f"{place:04}": value for place, value in enumerate(state.values)}
        columns["logs"] = np.frombuffer(msgspec.json.encode(state.logs), np.uint8)
        path = self._path(stage)
        unfinished = path.with_suffix(".writing")
        write_columns(unfinished, columns)
        _settle(unfinished, path)

    def read(self, stage: str, count: int) -> "State | None":
        """The state that was kept, of so many variables; None where there is none."""
        path = self._path(stage)
        if not path.exists():
            return None
        names = [f"{place:04}" for place in range(count)]
        columns = read_columns(path, [*names, "logs"])
        logs: list[EpochLog] = msgspec.json.decode(columns["logs"].tobytes(), type=list[EpochLog])
        return State([columns[name] for name in names], logs)

    def _path(self, stage: str) -> Path:
        return self._directory / f"{stage.replace(' ', '-')}.npz"


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_suffix(".writing")
    unfinished.write_bytes(content)
    _settle(unfinished, path)


def _settle(unfinished: Path, path: Path) -> None:
    """Gives a file its name once it is on the disk."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)


def adam_w(
    learning_rate: float, weight_decay: float, steps: int, undecayed: tuple[str, ...]
) -> keras.optimizers.Optimizer:
    """AdamW whose rate falls to 0 like a cosine within `steps`; variables with such names do not decay."""
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=list(undecayed))
    return optimizer


def state_variables(model: keras.Model) -> list[Any]:
    """All that training changes."""
    return [*model.trainable_variables, *model.non_trainable_variables, *model.optimizer.variables]


def assign_fitting(variable: Any, value: npt.NDArray[Any]) -> None:
    """Gives a variable a value that was kept. Tables that are split between devices end with rows of nobody, as many as
    it takes to split them evenly: between another number of devices there are more of them, or fewer."""
    if value.size == math.prod(variable.shape):
        value = value.reshape(variable.shape)  # a single number is kept as a column of one
    else:
        kept = np.zeros(variable.shape, value.dtype)
        rows = min(len(value), len(kept))
        kept[:rows] = value[:rows]
        value = kept
    variable.assign(value)
