"""What all processes but process 0 do: they take part in each fit that they are told of."""

from typing import Any

import msgspec

from rankserve_training.distributed.checkpoints import SharedCheckpoints
from rankserve_training.distributed.group import Group, losing_others
from rankserve_training.distributed.messages import hear
from rankserve_training.distributed.shared_rows import SharedBatches, SharedRows
from rankserve_training.memory import free_finished
from rankserve_training.towers.fits import Fit


def follow(group: Group) -> None:
    """Trains until process 0 says that nothing is left to do. Reads and writes no file.

    Raises:
        GroupError: where another process has ended.
    """
    while (heard := hear(group)) is not None:
        fit, resumed = heard
        rows = SharedRows.of(group, None)
        free_finished(len(rows))
        _take_part(group, fit, rows, resumed)


def _take_part(group: Group, fit: Fit[Any], rows: SharedRows, resumed: bool) -> None:
    def figure(_: Any) -> float:
        return float(msgspec.json.decode(group.say(), type=float))

    checkpoints = SharedCheckpoints(group, None) if resumed else None
    batches = fit.batches(SharedBatches, rows)
    with losing_others():
        fit.run(batches, figure if fit.validated else None, checkpoints, [])
