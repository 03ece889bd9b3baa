"""From a model to an engine: every shape that can occur is compiled, and tried."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rankserve_server.engine.arrays import Rows, Scores
from rankserve_server.engine.buckets import BLOCK_ROWS, BUCKETS, LARGEST_BUCKET
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.formula import (
    Formula,
    by_blocks,
    first_sums,
    first_sums_of_one,
    item_side,
    user_side,
    weights_of,
)
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.newcomer_compiling import compile_newcomers, equal_newcomer_calls
from rankserve_server.engine.newcomers import SLOTS
from rankserve_server.engine.parts import Call, EngineParts
from rankserve_server.engine.programs import compiled
from rankserve_server.engine.tables import NO_TABLES, Side, Variables, Weights, rows_with_room
from rankserve_training.model.folded import FoldedModel
from rankserve_training.model.generic import Score, score_function, variables_of

if TYPE_CHECKING:
    from rankserve_training.model.backend import keras

_log = logging.getLogger(__name__)

# How many users' catalogues are compared with their pairs when a model is compiled.
_PROBED_USERS = 8


def compile_engine(
    model: FoldedModel,
    checkpoint: Callable[[], None] = lambda: None,
    newcomers: FoldedModel | None = None,
) -> Engine:
    """Moves the tables into the device's memory and compiles every bucket.

    Args:
        model: each of its tables folded or not; they may be used where they lie, so nobody may change them later.
        checkpoint: called between compilations; what it raises ends them.
        newcomers: the same model for strangers, whose tables hold what their rows are summed of; None for a model
            that knows nothing but ids. Only for a model that is folded.

    Raises:
        ValueError: where the tables of `newcomers` do not fit those of `model`.
    """
    user_count, item_count = len(model.user_half.table) - 1, len(model.item_half.table) - 1
    users: Side = jax.device_put(user_side(model).padded(rows_with_room(user_count + 1)))
    # A slice is read from the items at a time.
    items: Side = jax.device_put(item_side(model).padded(max(LARGEST_BUCKET, rows_with_room(item_count + 1))))
    weights: Weights = jax.device_put(weights_of(model))
    compiler = _Compiler(users, items, weights, Formula.of(model), checkpoint)
    parts = EngineParts(user_count, item_count, users, items, weights, compiler.pair_calls(), None, None)
    parts = replace(parts, pair_calls=_equal_pair_calls(parts))
    parts = _with_catalog(parts, compiler.catalog_call(batch=next(iter(parts.pair_calls))))
    if newcomers is not None:
        found = compile_newcomers(parts, Formula.of(model), newcomers, checkpoint)
        parts = replace(parts, newcomers=found)
        probed_users, probed_items = _probe(parts)
        turns = np.resize(probed_users[:SLOTS], len(probed_items))
        expected = Engine(replace(parts, newcomers=None)).score(turns, probed_items)
        calls = equal_newcomer_calls(parts, found, probed_users[:SLOTS], probed_items, expected)
        parts = replace(parts, newcomers=replace(found, pair_calls=calls))
    return Engine(parts)


def compile_keras_engine(
    model: "keras.Model", user_count: int, item_count: int, checkpoint: Callable[[], None] = lambda: None
) -> Engine:
    """The same of a Keras model that cannot be folded: its own layers are compiled, and a pair costs what they cost.

    Its catalogue is scored as pairs.

    Args:
        model: see `rankserve_training.model.generic`; its weights are used where they lie.
        user_count: known users.
        item_count: known items.
        checkpoint: called between compilations; what it raises ends them.
    """
    variables, score = variables_of(model), score_function(model)
    pair_calls = {}
    for bucket in BUCKETS:
        checkpoint()
        pair_calls[bucket] = _compile_keras_pairs(score, variables, bucket)
    parts = EngineParts(user_count, item_count, NO_TABLES, NO_TABLES, variables, pair_calls, None, None)
    return Engine(replace(parts, pair_calls=_equal_pair_calls(parts)))


def _compile_keras_pairs(score: Score, variables: Variables, bucket: int) -> Call:
    rows = jax.ShapeDtypeStruct((bucket,), np.int32)
    block_rows = min(bucket, BLOCK_ROWS)

    def score_pairs(_users: Side, _items: Side, variables: Variables, user_rows: Any, item_rows: Any) -> Any:
        blocks = (each.reshape(-1, block_rows) for each in (user_rows, item_rows))
        return by_blocks(lambda users, items: score(variables, users, items), *blocks)

    return compiled(score_pairs, NO_TABLES, NO_TABLES, variables, rows, rows)


class _Compiler:
    """Compiles the calls of known users and items."""

    def __init__(
        self, users: Side, items: Side, weights: Weights, formula: Formula, checkpoint: Callable[[], None]
    ) -> None:
        self._tables = (users, items, weights)
        self._formula = formula
        self._checkpoint = checkpoint

    def pair_calls(self) -> dict[int, Call]:
        return {bucket: self._pairs(bucket) for bucket in BUCKETS}

    def catalog_call(self, batch: int) -> Call:
        """Scores a slice of the item table for one user, whose first sums are made in a batch of so many."""
        row = jax.ShapeDtypeStruct((), np.int32)

        def score_slice(users: Side, items: Side, weights: Weights, user_row: Any, start: Any) -> Any:
            user = users.take(user_row)
            user = user._replace(first=first_sums_of_one(user.first, weights.user, batch))

            def score_block(first: Any) -> Any:
                block = jax.tree.map(lambda table: jax.lax.dynamic_slice_in_dim(table, first, BLOCK_ROWS), items)
                block = block._replace(first=first_sums(block.first, weights.item))
                return self._formula.scores(user, block, weights)

            return by_blocks(score_block, start + np.arange(0, LARGEST_BUCKET, BLOCK_ROWS, dtype=np.int32))

        return self._compile(score_slice, row, row, batch)

    def _pairs(self, bucket: int) -> Call:
        rows = jax.ShapeDtypeStruct((bucket,), np.int32)
        block_rows = min(bucket, BLOCK_ROWS)

        def score_pairs(users: Side, items: Side, weights: Weights, user_rows: Any, item_rows: Any) -> Any:
            def score_block(user_rows: Any, item_rows: Any) -> Any:
                user, item = users.take(user_rows), items.take(item_rows)
                user = user._replace(first=first_sums(user.first, weights.user))
                item = item._replace(first=first_sums(item.first, weights.item))
                return self._formula.scores(user, item, weights)

            return by_blocks(score_block, user_rows.reshape(-1, block_rows), item_rows.reshape(-1, block_rows))

        return self._compile(score_pairs, rows, rows, bucket)

    def _compile(self, function: Callable[..., Any], users: Any, items: Any, size: int) -> Call:
        """Of a function that closes over the formula and a size."""
        self._checkpoint()
        return compiled(function, *self._tables, users, items, closed_over=(self._formula, size))


def _equal_pair_calls(parts: EngineParts) -> Mapping[int, Call]:
    """The calls that give every row the bits that the largest one gives it.

    XLA chooses how it multiplies by the shapes, and for some widths chooses otherwise for few rows (seen: 512 x 128
    below 32 rows). Which these are is found by trying. Batches too small for the rest are padded further.
    """
    users, items = _probe(parts)
    expected = Engine(parts).score(users, items)
    equal = {
        bucket: call
        for bucket, call in parts.pair_calls.items()
        if _scores_equal(Engine(replace(parts, pair_calls={bucket: call})), users, items, expected)
    }
    if len(equal) < len(parts.pair_calls):
        _log.info("Batches are padded to one of %s rows, so that scores do not depend on the batch.", list(equal))
    return equal


def _scores_equal(engine: Engine, users: Rows, items: Rows, expected: Scores) -> bool:
    (bucket,) = engine.buckets
    return all(
        np.array_equal(
            engine.score(users[start : start + bucket], items[start : start + bucket]),
            expected[..., start : start + bucket],
        )
        for start in range(0, len(users) - bucket + 1, bucket)
    )


def _with_catalog(parts: EngineParts, call: Call) -> EngineParts:
    """The parts with the catalogue's own call, if that gives the bits that pairs get."""
    in_place = replace(parts, catalog_call=call)
    engine = Engine(in_place)
    stop = min(parts.item_count, Engine.slice_rows)
    items = np.arange(1, stop + 1, dtype=np.int32)
    users, _ = _probe(parts)
    equal = all(
        np.array_equal(engine.score_catalog(user, 0, stop), engine.score(np.full(stop, user, np.int32), items))
        for user in users[:_PROBED_USERS].tolist()
    )
    return in_place if equal else parts


def _probe(parts: EngineParts) -> tuple[Rows, Rows]:
    """Pairs spread over the tables, as many as the largest bucket holds."""
    random = np.random.default_rng(0)
    users = random.integers(0, parts.user_count + 1, LARGEST_BUCKET, dtype=np.int32)
    items = random.integers(0, parts.item_count + 1, LARGEST_BUCKET, dtype=np.int32)
    return users, items
