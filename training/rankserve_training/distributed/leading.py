"""What process 0 does: it has the data, tells the others of each fit, and takes part in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import msgspec

from rankserve_training.distributed.checkpoints import SharedCheckpoints
from rankserve_training.distributed.errors import GroupError
from rankserve_training.distributed.group import Group, losing_others
from rankserve_training.distributed.joining import leave
from rankserve_training.distributed.messages import tell, tell_the_end
from rankserve_training.distributed.shared_rows import SharedBatches, SharedRows
from rankserve_training.rows import PairsByUser
from rankserve_training.towers.fits import Fit, Listeners
from rankserve_training.towers.fitting import Checkpoints, EpochLog
from rankserve_training.towers.user_batches import UserBatches

Tables = TypeVar("Tables")


@dataclass(frozen=True)
class Others:
    """The other processes, as process 0 sees them.

    Attributes:
        group: all of them.
    """

    group: Group

    def run(
        self,
        fit: Fit[Tables],
        pairs: PairsByUser,
        figure: Callable[[Tables], float] | None,
        checkpoints: Checkpoints | None,
        listeners: Listeners,
    ) -> tuple[Tables, list[EpochLog]]:
        """`Fit.run` in all processes.

        Raises:
            GroupError: where a batch cannot be split evenly, or another process has ended.
        """
        devices = jax.device_count()
        length = fit.batches(UserBatches, pairs).length
        if length % devices:
            raise GroupError(
                f"a batch of {length:,} ratings cannot be split evenly between {devices} devices; choose another "
                "number of processes"
            )
        tell(self.group, fit, checkpoints is not None)
        batches = fit.batches(SharedBatches, SharedRows.of(self.group, pairs))
        kept = None if checkpoints is None else SharedCheckpoints(self.group, checkpoints)
        with losing_others():
            return fit.run(batches, None if figure is None else self._told(figure), kept, listeners)

    def _told(self, figure: Callable[[Tables], float]) -> Callable[[Tables], float]:
        """The figure, which the others are told too: when a fit ends hangs on it."""

        def measured(tables: Tables) -> float:
            found = figure(tables)
            self.group.say(msgspec.json.encode(found))
            return found

        return measured

    def end(self) -> None:
        """Lets the others go, once they have done their part; from now on this process is alone."""
        with losing_others():
            tell_the_end(self.group)
            leave()
