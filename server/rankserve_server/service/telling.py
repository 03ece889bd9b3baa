"""The fields of a request that tell something of its user and of new items."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np

from rankserve.v1 import ranking_pb2
from rankserve_server.errors import Violation
from rankserve_server.limits import Limits
from rankserve_server.told import NewItem, Told

# Of one kind, in one error.
_NAMED = 5


def told_of(request: ranking_pb2.RankRequest) -> Told | None:
    """What a valid request tells; None where it tells nothing."""
    if not _tells(request):
        return None
    return Told(
        history_ids=np.array(request.history.item_ids, np.int64),
        history_ratings=np.array(request.history.ratings, np.float32),
        user_features=dict(request.user_features),
        new_items={item.item_id: NewItem(tuple(item.genres), item.year) for item in request.new_items},
    )


def told_violations(request: ranking_pb2.RankRequest, limits: Limits) -> Iterator[Violation]:
    """What the message alone shows to be wrong, whichever model answers."""
    if request.HasField("history"):
        yield from _history_violations(request.history, limits)
    if request.new_items:
        yield from _new_item_violations(request, limits)


def _tells(request: ranking_pb2.RankRequest) -> bool:
    if request.HasField("history") and request.history.item_ids:
        return True
    return bool(request.user_features or request.new_items)


def _history_violations(history: ranking_pb2.History, limits: Limits) -> Iterator[Violation]:
    if len(history.item_ids) > limits.max_history:
        yield Violation("history.item_ids", f"at most {limits.max_history} are accepted, got {len(history.item_ids)}")
        return
    if len(history.item_ids) != len(history.ratings):
        yield Violation(
            "history.ratings",
            f"should have one rating for each item, got {len(history.ratings)} for {len(history.item_ids)} items",
        )
    for id_, count in _repeated(list(history.item_ids)):
        yield Violation("history.item_ids", f"should have each item once, got item {id_} {count} times")
    no_numbers = ((place, rating) for place, rating in enumerate(history.ratings) if not math.isfinite(rating))
    for place, rating in islice(no_numbers, _NAMED):
        yield Violation(f"history.ratings[{place}]", f"should be a number, got {rating}")


def _new_item_violations(request: ranking_pb2.RankRequest, limits: Limits) -> Iterator[Violation]:
    count = len(request.new_items)
    if count > limits.max_candidates:
        yield Violation("new_items", f"at most {limits.max_candidates} are accepted, got {count}")
        return
    for id_, times in _repeated([item.item_id for item in request.new_items]):
        yield Violation("new_items", f"should have each item once, got item {id_} {times} times")
    negative = ((place, item.year) for place, item in enumerate(request.new_items) if item.year < 0)
    for place, year in islice(negative, _NAMED):
        yield Violation(f"new_items[{place}].year", f"should be 1 or more, or 0 for not known, got {year}")


def _repeated(ids: list[int]) -> list[tuple[int, int]]:
    """The first ids that are there more than once, and how often."""
    if len(set(ids)) == len(ids):
        return []
    return [(id_, count) for id_, count in Counter(ids).items() if count > 1][:_NAMED]
