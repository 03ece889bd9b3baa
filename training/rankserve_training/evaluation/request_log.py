"""The rankings of a server's request log (`rankserve serve --request-log`)."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from rankserve_training.data import DataError

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]


class _Request(msgspec.Struct):
    user_id: int = 0


class _Response(msgspec.Struct):
    model_name: str
    model_version: int
    item_ids: list[int] = []
    scores: list[float] = []
    choice_scores: list[float] = []


class _Entry(msgspec.Struct):
    request: _Request
    response: _Response


@dataclass(frozen=True)
class LoggedRankings:
    """The rankings of one model version, item by item: columns of length n.

    Attributes:
        name: of the model.
        version: of it.
        rankings: how many there are.
        numbers: int64[n], which ranking the item is in, 1 to `rankings`.
        user_ids: int64[n].
        item_ids: int64[n].
        scores: float64[n], the predicted ratings.
        places: float64[n], higher for what was ranked higher: choice scores where there are some, else the scores.
    """

    name: str
    version: int
    rankings: int
    numbers: Int64s
    user_ids: Int64s
    item_ids: Int64s
    scores: Float64s
    places: Float64s


@dataclass(frozen=True)
class RequestLog:
    """What a request log holds.

    Attributes:
        versions: by name and version.
        bad_lines: lines that are no rankings; the last one of a server that was killed may be half of one.
    """

    versions: tuple[LoggedRankings, ...]
    bad_lines: int

    @property
    def rankings(self) -> int:
        """How many there are in all."""
        return sum(version.rankings for version in self.versions)


def read_request_log(path: Path) -> RequestLog:
    """Reads all of it.

    Raises:
        DataError: where it cannot be read or holds no ranking.
    """
    found: dict[tuple[str, int], list[_Entry]] = {}
    decoder, bad = msgspec.json.Decoder(_Entry), 0
    try:
        with path.open("rb") as file:
            for line in filter(bytes.strip, file):
                entry = _decoded(decoder, line)
                if entry is None:
                    bad += 1
                else:
                    found.setdefault((entry.response.model_name, entry.response.model_version), []).append(entry)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if not found:
        raise DataError(f"{path} holds no ranking: none of its {bad:,} lines is one that `serve --request-log` writes")
    return RequestLog(tuple(_columns(*key, entries) for key, entries in sorted(found.items())), bad)


def _decoded(decoder: "msgspec.json.Decoder[_Entry]", line: bytes) -> _Entry | None:
    try:
        entry = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    count = len(entry.response.item_ids)
    fits = len(entry.response.scores) == count and len(entry.response.choice_scores) in (0, count)
    return entry if fits else None


def _columns(name: str, version: int, entries: list[_Entry]) -> LoggedRankings:
    lengths = [len(entry.response.item_ids) for entry in entries]
    responses = [entry.response for entry in entries]
    return LoggedRankings(
        name=name,
        version=version,
        rankings=len(entries),
        numbers=np.repeat(np.arange(1, len(entries) + 1), lengths),
        user_ids=np.repeat(np.array([entry.request.user_id for entry in entries], np.int64), lengths),
        item_ids=np.array([id_ for response in responses for id_ in response.item_ids], np.int64),
        scores=np.array([score for response in responses for score in response.scores], np.float64),
        places=np.array([place for r in responses for place in (r.choice_scores or r.scores)], np.float64),
    )
