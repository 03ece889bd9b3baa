"""Where batches and tables lie: Keras' distribution over all devices of all processes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.sharding import NamedSharding, PartitionSpec

from rankserve_training.model.backend import keras

_AXIS = "rows"
# The tables with a row for each user or item that training updates by its ids.
_SHARDED = ("user_id", "item_id", "rated_how", "rated_at_all", "user_offset", "item_offset", "chosen")
# Bounds what a device holds of a sharded table beside its own part while the table is collected.
_COLLECTED_CELLS = 1 << 22


class _Placement(keras.distribution.ModelParallel):
    """Batches are split, and some tables by their rows."""

    def __init__(self, sharded: tuple[str, ...]) -> None:
        devices = keras.distribution.list_devices()
        mesh = keras.distribution.DeviceMesh((len(devices),), [_AXIS], devices=devices)
        layouts = keras.distribution.LayoutMap(mesh)
        for name in sharded:
            layouts[f"{name}/embeddings"] = (_AXIS, None)
        super().__init__(layout_map=layouts, batch_dim_name=_AXIS, auto_shard_dataset=False)
        self.sharded = sharded


def place(shard_tables: bool) -> None:
    """Has Keras split batches between all devices, and the tables too where asked for; each device then has a part
    of the rows. Every variable that is made from now on is placed so."""
    keras.distribution.set_distribution(_Placement(_SHARDED if shard_tables else ()))


def unplace() -> None:
    """Has everything that is made from now on lie on this process's first device, as usual."""
    keras.distribution.set_distribution(None)


def is_placed() -> bool:
    """Whether `place` was called."""
    return keras.distribution.distribution() is not None


def is_sharded(table: Any) -> bool:
    """Whether a variable is split between the devices by its rows."""
    layout = table._layout
    return layout is not None and layout.backend_layout.spec[0] is not None


def split(values: Any) -> Any:
    """The same values, computed by parts: each device has some rows, if they can be split evenly."""
    distribution = keras.distribution.distribution()
    if distribution is None or values.shape[0] % jax.device_count():
        return values
    mesh = distribution.device_mesh.backend_mesh
    return jax.lax.with_sharding_constraint(values, NamedSharding(mesh, PartitionSpec(_AXIS)))


class Table(keras.layers.Embedding):
    """An embedding table that may be sharded by rows: looked up without any device having all of it.

    Each device looks up what of all devices' rows is in its part; the sums of what they found are what each is missing.
    A sharded table has as many rows for each device, so that there may be some more than asked for.
    """

    def __init__(self, rows: int, width: int, initializer: keras.initializers.Initializer, name: str) -> None:
        """Draws the rows; the same rows, however the table is placed."""
        distribution = keras.distribution.distribution()
        if distribution is not None and name in distribution.sharded:
            rows += -rows % jax.device_count()
        super().__init__(rows, width, embeddings_initializer=initializer, name=name)
        self.build()

    def call(self, inputs: Any) -> Any:
        """int32[n] to float32[n, width]."""
        if not is_sharded(self.embeddings) or inputs.shape[0] % jax.device_count():
            return super().call(inputs)
        return _looked_up(self.embeddings._layout.backend_layout.mesh, self.embeddings.value, inputs)


def _looked_up(mesh: jax.sharding.Mesh, table: Any, rows: Any) -> Any:
    @partial(
        jax.shard_map,
        mesh=mesh,
        in_specs=(PartitionSpec(_AXIS, None), PartitionSpec(_AXIS)),
        out_specs=PartitionSpec(_AXIS, None),
    )
    def parts(part: Any, own_rows: Any) -> Any:
        wanted = jax.lax.all_gather(own_rows, _AXIS, tiled=True) - jax.lax.axis_index(_AXIS) * part.shape[0]
        here = (wanted >= 0) & (wanted < part.shape[0])
        found = jnp.where(here[:, np.newaxis], part[jnp.where(here, wanted, 0)], 0)
        return jax.lax.psum_scatter(found, _AXIS, tiled=True)

    return parts(table, rows)


def whole(value: Any) -> npt.NDArray[Any]:
    """A variable's value. All processes call it, as some of it may be elsewhere; of a sharded one only process 0 gets
    the rows, and the others none."""
    if not isinstance(value, jax.Array) or value.is_fully_addressable or value.is_fully_replicated:
        return np.asarray(value)
    keep = jax.process_index() == 0
    sharding = value.sharding
    assert isinstance(sharding, NamedSharding)  # noqa: S101, nothing else is neither whole nor here
    everywhere = NamedSharding(sharding.mesh, PartitionSpec())
    collected = np.empty(value.shape if keep else (0, *value.shape[1:]), value.dtype)
    block = max(1, _COLLECTED_CELLS // max(1, value.size // value.shape[0]))
    for start in range(0, value.shape[0], block):
        part = _rows(value, start, min(block, value.shape[0] - start), everywhere)
        if keep:
            collected[start : start + block] = np.asarray(part)
    return collected


@partial(jax.jit, static_argnames=("start", "count", "sharding"))
def _rows(value: jax.Array, start: int, count: int, sharding: NamedSharding) -> jax.Array:
    rows: jax.Array = jax.lax.with_sharding_constraint(value[start : start + count], sharding)
    return rows
