"""Compiles what scores newcomers; see `newcomers`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rankserve_server.engine.arrays import Rows, Scores
from rankserve_server.engine.buckets import BLOCK_ROWS, LARGEST_BUCKET
from rankserve_server.engine.formula import Formula, by_blocks, item_side, user_side
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.newcomers import (
    BLOCK_ENTRIES,
    BLOCKS,
    NO_ENTRIES,
    NO_ROW,
    NO_ROWS,
    SLOTS,
    NewcomerScorer,
    NewUser,
    no_sums,
)
from rankserve_server.engine.parts import Call, EngineParts, NewcomerParts
from rankserve_server.engine.programs import compiled
from rankserve_server.engine.tables import Side, Weights, rows_with_room
from rankserve_training.model.folded import FoldedModel

# Fewer than for pairs: the rest of such a request takes longer than the padding.
_BUCKETS: tuple[int, ...] = (8, 32, 128, 256, 512, 1_024, LARGEST_BUCKET)


def compile_newcomers(
    parts: EngineParts, formula: Formula, newcomers: FoldedModel, checkpoint: Callable[[], None]
) -> NewcomerParts:
    """Compiles everything.

    Args:
        parts: of the model, whose first layer is folded.
        formula: of the model.
        newcomers: its tables hold what rows are summed of.
        checkpoint: called between compilations.

    Raises:
        ValueError: where the tables of `newcomers` have other columns than the known ones.
    """
    for known, summed in ((parts.users, user_side(newcomers)), (parts.items, item_side(newcomers))):
        if known.columns != summed.columns:
            raise ValueError(f"rows of {known.columns} columns cannot be summed of {summed.columns}")
    user_entries, item_entries = (_with_room(side(newcomers)) for side in (user_side, item_side))
    pair_calls = {}
    for bucket in _BUCKETS:
        checkpoint()
        pair_calls[bucket] = _compile_pairs(parts, formula, bucket)
    checkpoint()
    user_sums = _compile_sums(parts.users, user_entries)
    checkpoint()
    item_sums = _compile_sums(parts.items, item_entries)
    return NewcomerParts(user_entries, item_entries, user_sums, item_sums, pair_calls)


def equal_newcomer_calls(
    parts: EngineParts, newcomers: NewcomerParts, user_rows: Rows, item_rows: Rows, expected: Scores
) -> Mapping[int, Call]:
    """The calls that give known pairs the bits that they get elsewhere.

    Args:
        parts: of the model.
        newcomers: all that was compiled.
        user_rows: int32[SLOTS].
        item_rows: int32[n], n is the largest bucket.
        expected: the scores of these items and the users, who take turns.

    Raises:
        ValueError: where none does.
    """
    users = [NewUser(row, NO_ENTRIES) for row in user_rows.tolist()]
    places = np.arange(len(item_rows), dtype=np.int32) % SLOTS
    equal = {}
    for bucket, call in newcomers.pair_calls.items():
        scorer = NewcomerScorer(parts, replace(newcomers, pair_calls={bucket: call}))
        runs = [slice(start, start + bucket) for start in range(0, len(item_rows), bucket)]
        scores = [scorer.start(users, (), places[run], item_rows[run]).result() for run in runs]
        if np.array_equal(np.concatenate(scores, axis=-1), expected):
            equal[bucket] = call
    if not equal:
        raise ValueError("the scores of known pairs would depend on whether newcomers are scored beside them")
    return equal


def _compile_pairs(parts: EngineParts, formula: Formula, bucket: int) -> Call:
    block_rows = min(bucket, BLOCK_ROWS)
    first_new_row = len(parts.items.first)

    def score_pairs(users: Side, items: Side, new_items: Side, weights: Weights, places: Any, rows: Any) -> Any:
        def score_block(places: Any, rows: Any) -> Any:
            new_rows = rows - first_new_row
            is_new = (new_rows >= 0)[:, np.newaxis]
            new, known = new_items.take(new_rows), items.take(rows)
            item = jax.tree.map(lambda new, known: jax.numpy.where(is_new, new, known), new, known)
            return formula.scores(users.take(places), item, weights)

        return by_blocks(score_block, places.reshape(-1, block_rows), rows.reshape(-1, block_rows))

    pairs = jax.ShapeDtypeStruct((bucket,), np.int32)
    tables = (no_sums(parts.users), parts.items, no_sums(parts.items), parts.weights)
    return compiled(score_pairs, *tables, pairs, pairs, closed_over=(formula, bucket, first_new_row))


def _with_room(entries: Side) -> Side:
    on_device: Side = jax.device_put(entries.padded(rows_with_room(len(entries.first))))
    return on_device


def _compile_sums(known: Side, entries: Side) -> Call:
    blocks = np.zeros((BLOCKS, BLOCK_ENTRIES), np.int32)
    arguments = (NO_ROWS, blocks, blocks.astype(np.float32), blocks[:, 0], np.int32(0))
    return compiled(_add_entries, known, entries, no_sums(known), *arguments, closed_over=())


def _add_entries(
    known: Side, tables: Side, sums: Side, start_rows: Any, entries: Any, weights: Any, slots: Any, count: Any
) -> Side:
    """Sums with `count` blocks added, each to its slot; a slot that has a row to start with starts with that."""
    starts = known.take(start_rows)
    has_start = (start_rows != NO_ROW)[:, np.newaxis]
    sums = jax.tree.map(lambda start, sum_: jax.numpy.where(has_start, start, sum_), starts, sums)

    def add_block(block: Any, sums: Side) -> Side:
        rows = tables.take(entries[block])
        block_weights = weights[block][:, np.newaxis]
        added: Side = jax.tree.map(
            lambda sum_, row: sum_.at[slots[block]].add((row * block_weights).sum(0)), sums, rows
        )
        return added

    all_added: Side = jax.lax.fori_loop(0, count, add_block, sums)
    return all_added
