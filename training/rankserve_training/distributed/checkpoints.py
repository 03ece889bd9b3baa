"""Checkpoints of several processes: process 0 alone reads and writes them."""

from typing import Any

import msgspec

from rankserve_training.distributed.group import Group
from rankserve_training.model.backend import keras
from rankserve_training.towers.fitting import Checkpoints, EpochLog, State, assign_fitting, state_variables
from rankserve_training.towers.placement import whole


class SharedCheckpoints:
    """What `Stage` asks of checkpoints, in all processes at once."""

    def __init__(self, group: Group, kept: Checkpoints | None) -> None:
        """Keeps states where process 0 has `kept`; the others have None."""
        self._group, self._kept = group, kept

    def save(self, stage: str, model: keras.Model, logs: list[EpochLog]) -> None:
        """Collects the state; process 0 writes it."""
        values = [whole(variable.value) for variable in state_variables(model)]
        if self._kept is not None:
            self._kept.write(stage, State(values, logs))

    def restore(self, stage: str, model: keras.Model) -> list[EpochLog]:
        """Gives the model the state that process 0 has read, one variable at a time; the logs, none without a state."""
        state = self._kept.read(stage, len(state_variables(model))) if self._kept is not None else None
        known = msgspec.json.encode(state.logs if state is not None else [])
        said = self._group.say(known if self._group.leads else None)
        logs: list[EpochLog] = msgspec.json.decode(said, type=list[EpochLog])
        if logs:
            for place, variable in enumerate(state_variables(model)):
                value: dict[str, Any] = {} if state is None else {"value": state.values[place]}
                assign_fitting(variable, self._group.say_arrays(value)["value"])
        return logs
