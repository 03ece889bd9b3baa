"""What an engine is made of, and how it travels from the process that has compiled it to the one that serves.

A compiled call is a machine's own: it fits the processor and the library versions that it was made with.
"""

import pickle  # the structure of tables is an object of JAX; read from a pipe of our own child alone, whose JAX is ours
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from typing import IO, Any, TypeAlias

import numpy as np

from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.program_pool import ProgramPool
from rankserve_server.engine.programs import content_of
from rankserve_server.engine.tables import Side, Variables, Weights

Call: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class NewcomerParts:
    """What scores newcomers.

    Attributes:
        user_entries: the tables that the rows of users are summed of.
        item_entries: likewise of items.
        user_sums: sums rows of users.
        item_sums: likewise of items.
        pair_calls: by how many pairs they score.
    """

    user_entries: Side
    item_entries: Side
    user_sums: Call
    item_sums: Call
    pair_calls: Mapping[int, Call]


@dataclass(frozen=True, eq=False)
class EngineParts:
    """A compiled model.

    Attributes:
        user_count: known users.
        item_count: known items.
        users: tables of the known users, on the device; none where the model is not folded.
        items: likewise of items, at least as long as a slice.
        weights: what the tables leave of the model, on the device: all of it where it is not folded.
        pair_calls: by how many pairs they score, ascending; all give a pair the same bits.
        catalog_call: scores a slice of the item table in place; None where that would give other bits.
        newcomers: None for a model that knows nothing but ids.
    """

    user_count: int
    item_count: int
    users: Side
    items: Side
    weights: Weights | Variables
    pair_calls: Mapping[int, Call]
    catalog_call: Call | None
    newcomers: NewcomerParts | None


def table_bytes(parts: EngineParts) -> int:
    """What the tables and weights take on the device."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(_tables(parts)))


def pack(parts: EngineParts, stream: IO[bytes]) -> None:
    """Writes the parts of an engine, for `unpack` on the same machine.

    Raises:
        OSError: where the stream does not take them.
    """
    newcomers = parts.newcomers
    leaves, structure = jax.tree.flatten(_tables(parts))
    calls = {
        "pairs": _contents_of(parts.pair_calls),
        "catalog": None if parts.catalog_call is None else content_of(parts.catalog_call),
        "newcomers": newcomers
        and {
            "user_sums": content_of(newcomers.user_sums),
            "item_sums": content_of(newcomers.item_sums),
            "pairs": _contents_of(newcomers.pair_calls),
        },
    }
    shapes = [leaf.shape for leaf in leaves]
    pickle.dump((parts.user_count, parts.item_count, shapes, structure, calls), stream)
    for leaf in leaves:
        stream.write(np.ascontiguousarray(leaf).data)
    stream.flush()


def unpack(stream: BufferedIOBase, pool: ProgramPool, checkpoint: Callable[[], None] = lambda: None) -> EngineParts:
    """Reads what `pack` wrote, without compiling anything.

    Args:
        stream: written by a process of our own: what is in it is trusted as code is.
        pool: of this process; the programs are taken from there, and it keeps them.
        checkpoint: called between the steps, each of some milliseconds; what it raises ends them.

    Raises:
        EOFError: where the stream ends before that.
    """
    user_count, item_count, shapes, structure, calls = pickle.load(stream)  # noqa: S301  # no file: our own child wrote it into the pipe
    leaves = []
    for shape in shapes:
        checkpoint()
        leaves.append(jax.device_put(_read_table(stream, shape)))
    users, items, weights, *entries = jax.tree.unflatten(structure, leaves)

    used = []

    def call(content: bytes) -> Call:
        checkpoint()
        used.append(content)
        return pool.call(content)

    newcomers = calls["newcomers"] and NewcomerParts(
        user_entries=entries[0],
        item_entries=entries[1],
        user_sums=call(calls["newcomers"]["user_sums"]),
        item_sums=call(calls["newcomers"]["item_sums"]),
        pair_calls={bucket: call(each) for bucket, each in calls["newcomers"]["pairs"].items()},
    )
    pair_calls = {bucket: call(each) for bucket, each in calls["pairs"].items()}
    catalog_call = None if calls["catalog"] is None else call(calls["catalog"])
    parts = EngineParts(user_count, item_count, users, items, weights, pair_calls, catalog_call, newcomers)
    pool.note_user(parts, used)
    return parts


def _contents_of(calls: Mapping[int, Call]) -> dict[int, bytes]:
    return {bucket: content_of(call) for bucket, call in calls.items()}


def _tables(parts: EngineParts) -> tuple[Any, ...]:
    newcomers = parts.newcomers
    entries = (newcomers.user_entries, newcomers.item_entries) if newcomers else ()
    return (parts.users, parts.items, parts.weights, *entries)


def _read_table(stream: BufferedIOBase, shape: tuple[int, ...]) -> Any:
    table: Any = np.empty(shape, np.float32)
    rest = memoryview(table).cast("B") if table.size else memoryview(b"")
    while rest:
        count = stream.readinto(rest)
        if not count:
            raise EOFError("the stream ended within a table")
        rest = rest[count:]
    return table
