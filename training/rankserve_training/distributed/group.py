"""What the processes of a training say and send to each other.

All of them call the same methods in the same order. Before anything is computed by all together they meet: a program
that some have not come to gives up after half a minute, and process 0 may measure for longer than that.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import jax
import msgspec
import numpy as np
import numpy.typing as npt
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from rankserve_training.distributed.errors import is_of_lost_process, lost

Int32s = npt.NDArray[np.int32]
Arrays = dict[str, npt.NDArray[Any]]

# The end of a process that waits is noticed by its heartbeats, not by this.
_LONGEST_WAIT_MILLISECONDS = 7 * 24 * 3600 * 1000
_BROADCAST_BYTES = 1 << 24
_SCATTERED_ROWS = 1 << 20


class _Shape(msgspec.Struct, frozen=True):
    """What an array that is sent looks like."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """The processes that train together, seen from one of them.

    Attributes:
        process: this one, from 0; process 0 leads.
        processes: how many there are.
    """

    process: int
    processes: int
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def leads(self) -> bool:
        """Whether this is process 0."""
        return self.process == 0

    def meet(self) -> None:
        """Waits until all processes have come here."""
        with losing_others():
            _client().wait_at_barrier(f"rankserve-{next(self._numbers)}", _LONGEST_WAIT_MILLISECONDS)

    def say(self, content: bytes | None = None) -> bytes:
        """What process 0 says, for all; the others give no content."""
        key = f"rankserve/said/{next(self._numbers)}"
        with losing_others():
            if content is not None:
                _client().key_value_set_bytes(key, content)
                return content
            said: bytes = _client().blocking_key_value_get_bytes(key, _LONGEST_WAIT_MILLISECONDS)
            return said

    def say_arrays(self, arrays: Arrays | None = None) -> Arrays:
        """The arrays of process 0, for all."""
        given = arrays or {}
        known = {name: _Shape(array.dtype.str, array.shape) for name, array in given.items()}
        said = self.say(msgspec.json.encode(known) if self.leads else None)
        shapes = msgspec.json.decode(said, type=dict[str, _Shape])
        return {name: self._say_array(shape, given.get(name)) for name, shape in shapes.items()}

    def _say_array(self, shape: _Shape, given: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        array = np.empty(shape.shape, shape.dtype) if given is None else np.ascontiguousarray(given)
        content = array.reshape(-1).view(np.uint8)  # in place, as `array` is contiguous
        for start in range(0, len(content), _BROADCAST_BYTES):
            part = content[start : start + _BROADCAST_BYTES]
            self.meet()
            with losing_others():
                received = np.asarray(multihost_utils.broadcast_one_to_all(part, is_source=self.leads))
            if given is None:
                part[:] = received
        return array.reshape(shape.shape)

    def exchange(self, sent: Int32s) -> Int32s:
        """Every process gives each of the others a part.

        Args:
            sent: int32[processes, n, k], for each; of the same shape in all processes.

        Returns:
            int32[processes, n, k], from each.
        """
        self.meet()
        with losing_others():
            firsts = [
                next(each for each in jax.devices() if each.process_index == one) for one in range(self.processes)
            ]
            mesh = Mesh(np.array(firsts), ("process",))
            by_sender = NamedSharding(mesh, PartitionSpec("process"))
            by_receiver = NamedSharding(mesh, PartitionSpec(None, "process"))
            given = jax.make_array_from_process_local_data(by_sender, sent[np.newaxis])
            received = _turn(given, by_receiver)
            return np.asarray(received.addressable_data(0))[:, 0]

    def scatter(self, edges: npt.NDArray[np.int64], rows: Callable[[slice], Int32s] | None) -> Int32s:
        """Gives each process its part of rows that process 0 has.

        Args:
            edges: int64[processes + 1]: process p gets the rows from `edges[p]` to `edges[p + 1]`.
            rows: in process 0, some of them: int32[n, 2].
        """
        parts: list[Int32s] = []
        for start in range(0, int(edges[-1]), _SCATTERED_ROWS):
            bounds = np.clip(edges, start, start + _SCATTERED_ROWS)
            sizes = np.diff(bounds)
            sent = np.zeros((self.processes, rounded(int(sizes.max())), 2), np.int32)
            if rows is not None:
                for process, (first, past) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
                    sent[process, : past - first] = rows(slice(first, past))
            parts.append(self.exchange(sent)[0, : sizes[self.process]])
        return np.concatenate(parts) if parts else np.zeros((0, 2), np.int32)


def rounded(count: int) -> int:
    """A power of two, so that few shapes, and so programs, occur."""
    return 1 << max(count - 1, 0).bit_length()


@contextmanager
def losing_others() -> Iterator[None]:
    """Turns what JAX raises where another process has gone into one line.

    Raises:
        GroupError: instead.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if is_of_lost_process(error):
            raise lost(error) from error
        raise


@partial(jax.jit, static_argnames="sharding")
def _turn(array: jax.Array, sharding: NamedSharding) -> jax.Array:
    turned: jax.Array = jax.lax.with_sharding_constraint(array, sharding)
    return turned


def _client() -> Any:
    from jax._src import distributed

    return distributed.global_state.client
