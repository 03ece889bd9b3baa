"""Requests that a version answers, unheard, before it serves: what it does for the first time is then behind it."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rankserve_server.errors import RequestError
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking_alone import rank_alone
from rankserve_server.request_log.reading import BadLineError, read_requests
from rankserve_server.service.conversion import query_of
from rankserve_server.service.encoding import ResponseEncoder

_log = logging.getLogger(__name__)

_NAMED_LINES = 3


@dataclass(frozen=True)
class WarmUp:
    """Replays a request log on versions that are about to serve.

    Attributes:
        path: of the request log.
        limits: of requests; what is over them is left out.
        most_requests: so many at most, the first ones.
        most_seconds: for so long at most.
    """

    path: Path
    limits: Limits
    most_requests: int
    most_seconds: float

    def replay(self, model: LoadedModel, checkpoint: Callable[[], None]) -> None:
        """Has a version answer them; what it cannot answer is no reason not to serve it.

        Args:
            model: that is about to serve.
            checkpoint: called after each request; what it raises ends it.
        """
        tally, until = _Tally(), time.monotonic() + self.most_seconds
        encoder = ResponseEncoder(model)
        try:
            for request in read_requests(self.path):
                if tally.tried >= self.most_requests or time.monotonic() >= until:
                    break
                if isinstance(request, BadLineError):
                    tally.note_bad(request)
                elif request.model.name in ("", model.name):
                    try:
                        encoder.encode(rank_alone(model, query_of(request, self.limits)))
                        tally.answered += 1
                    except RequestError:
                        tally.refused += 1
                    checkpoint()
        except OSError as error:
            _log.error("%s/%d is not warmed up: %s: %s.", model.name, model.version, self.path, error.strerror)
            return
        tally.say(model, self.path)


class _Tally:
    def __init__(self) -> None:
        self.answered = 0
        self.refused = 0
        self._bad = 0

    @property
    def tried(self) -> int:
        return self.answered + self.refused

    def note_bad(self, error: BadLineError) -> None:
        self._bad += 1
        if self._bad <= _NAMED_LINES:
            _log.warning("Warm-up: %s", error)

    def say(self, model: LoadedModel, path: Path) -> None:
        said = _log.info if self.answered else _log.warning
        said(
            "%s/%d answered %d requests of %s before it serves; %d others it cannot answer, and %d lines are no "
            "requests.",
            *(model.name, model.version, self.answered, path, self.refused, self._bad),
        )
