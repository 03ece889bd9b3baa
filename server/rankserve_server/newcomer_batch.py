"""Slices of jobs with newcomers, put together for one call of their engine."""

import numpy as np

from rankserve_server.engine.arrays import PendingScores, Rows
from rankserve_server.engine.newcomers import SLOTS, Bag, NewUser
from rankserve_server.newcomer_rows import NewcomerRows
from rankserve_server.score_slice import Slice


def weight_of(piece: Slice) -> int:
    """How much of a call a slice takes, in candidates: with a full one, neither its users nor its items are too many.

    A call has SLOTS for users, and as many for new items.
    """
    most_in_a_slot = piece.job.engine.slice_rows // SLOTS
    new_items = _newcomer(piece).count(piece.start, piece.stop)
    return max(piece.count, most_in_a_slot * max(1, new_items))


def start_newcomers(slices: list[Slice]) -> PendingScores:
    """Starts to score slices of one engine, of no more weight than it scores candidates at a time."""
    engine = slices[0].job.engine
    count = sum(piece.count for piece in slices)
    users: list[NewUser] = []
    new_items: list[Bag] = []
    places, items = np.empty(count, np.int32), np.empty(count, np.int32)
    place = 0
    for piece in slices:
        end = place + piece.count
        places[place:end] = len(users)
        items[place:end] = _item_rows(piece, engine.item_count, new_items)
        users.append(_newcomer(piece).user)
        place = end
    return engine.start_newcomers(users, new_items, places, items)


def _item_rows(piece: Slice, item_count: int, new_items: list[Bag]) -> Rows:
    """The rows of a slice's items; those that are new are added to the call's, and numbered among them."""
    job = piece.job
    if job.item_rows is None:
        return np.arange(piece.start + 1, piece.stop + 1, dtype=np.int32)
    rows = job.item_rows[piece.start : piece.stop]
    newcomer = _newcomer(piece)
    if not newcomer.count(piece.start, piece.stop):
        return rows
    is_new = rows > item_count
    own, numbers = np.unique(rows[is_new], return_inverse=True)
    rows = rows.copy()
    rows[is_new] = item_count + 1 + len(new_items) + numbers
    new_items += [newcomer.items[row - item_count - 1] for row in own.tolist()]
    return rows


def _newcomer(piece: Slice) -> NewcomerRows:
    if piece.job.newcomer is None:
        raise ValueError("a slice without newcomers")
    return piece.job.newcomer
