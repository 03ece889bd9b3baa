"""Slices of jobs that are computed together, while others are being prepared."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rankserve_server import newcomer_batch
from rankserve_server.engine.engine import Engine, PendingScores, Scores
from rankserve_server.score_job import ScoreJob
from rankserve_server.score_slice import Slice

_log = logging.getLogger(__name__)


class ScoreBatch:
    """Slices whose scores are being computed.

    Attributes:
        slices: in the order of their jobs.
        dropped: jobs that came up with them, and are not computed because nobody waits for them any more.
        started: when, on the clock of `time.monotonic`.
    """

    def __init__(self, slices: Sequence[Slice], dropped: list[ScoreJob]) -> None:
        """Starts to compute them; returns before they are computed."""
        self.slices = slices
        self.dropped = dropped
        self.started = time.monotonic()
        self._calls = _engine_calls(slices)

    @property
    def count(self) -> int:
        """How many candidates are computed."""
        return sum(piece.count for piece in self.slices)

    @property
    def computed_rows(self) -> int:
        """The same with those that only fill up the shapes; 0 for what could not be started."""
        return sum(call.computed_rows for call in self._calls)

    def finish(self) -> None:
        """Waits for the scores, and gives every job its own, or its error."""
        for call in self._calls:
            call.finish()


class _EngineCall:
    """Slices that one call of an engine scores. Where it fails, they are tried one by one: only the one at fault fails.

    The scores lie one slice behind the other.
    """

    def __init__(self, slices: list[Slice], start: Callable[[list[Slice]], PendingScores]) -> None:
        self._slices = slices
        self._start = start
        try:
            self._pending: PendingScores | Exception = start(slices)
        except Exception as error:  # whatever it is, it is told to the callers and must not end the thread
            self._pending = error

    @property
    def computed_rows(self) -> int:
        """See `ScoreBatch`."""
        return 0 if isinstance(self._pending, Exception) else self._pending.rows

    def finish(self) -> None:
        """Waits for the scores and hands them out."""
        try:
            if isinstance(self._pending, Exception):
                raise self._pending
            _keep(self._slices, self._pending.result())
        except Exception as error:  # as above
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if len(self._slices) == 1:
            _log.error("Scoring failed.", exc_info=error)
            self._slices[0].job.error = error
            return
        for piece in self._slices:
            _EngineCall([piece], self._start).finish()


def _engine_calls(slices: Sequence[Slice]) -> list[_EngineCall]:
    """Pairs of one engine are scored together, as many as it takes; slices of a whole catalogue each by itself."""
    calls = []
    pairs: dict[Engine, list[Slice]] = {}
    newcomers: dict[Engine, list[Slice]] = {}
    for piece in slices:
        if piece.job.newcomer is not None:
            newcomers.setdefault(piece.job.engine, []).append(piece)
        elif piece.job.item_rows is None:
            calls.append(_EngineCall([piece], _start_catalog))
        else:
            pairs.setdefault(piece.job.engine, []).append(piece)
    for engine, together in pairs.items():
        calls += [_EngineCall(part, _start_pairs) for part in _parts(together, engine.slice_rows, _count_of)]
    for engine, together in newcomers.items():
        parts = _parts(together, engine.slice_rows, newcomer_batch.weight_of)
        calls += [_EngineCall(part, newcomer_batch.start_newcomers) for part in parts]
    return calls


def _parts(slices: list[Slice], most: int, weight_of: Callable[[Slice], int]) -> Iterator[list[Slice]]:
    """Splits slices, none of more weight than `most`, into runs that have no more either."""
    part: list[Slice] = []
    total = 0
    for piece in slices:
        weight = weight_of(piece)
        total += weight
        if total > most:
            yield part
            part, total = [], weight
        part.append(piece)
    yield part


def _count_of(piece: Slice) -> int:
    return piece.stop - piece.start


def _start_catalog(slices: list[Slice]) -> PendingScores:
    (piece,) = slices
    return piece.job.engine.start_catalog(piece.job.user_row, piece.start, piece.stop)


def _start_pairs(slices: list[Slice]) -> PendingScores:
    count = sum(piece.stop - piece.start for piece in slices)
    # Filled in place: joining arrays costs more than scoring a short request.
    users, items = np.empty(count, np.int32), np.empty(count, np.int32)
    place = 0
    for piece in slices:
        end = place + piece.stop - piece.start
        users[place:end] = piece.job.user_row
        items[place:end] = piece.job.item_rows[piece.start : piece.stop]  # type: ignore[index]  # pairs have rows
        place = end
    return slices[0].job.engine.start(users, items)


def _keep(slices: list[Slice], scores: Scores) -> None:
    place = 0
    for piece in slices:
        end = place + piece.stop - piece.start
        piece.job.keep(piece.start, piece.stop, scores[..., place:end])
        place = end
