"""ModelInfer, one by one or as a stream."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rankserve_server.protocols.id_tensors import check_outputs, users_of, wrong
from rankserve_server.protocols.messages import open_inference_pb2 as pb
from rankserve_server.protocols.model_names import selection_of
from rankserve_server.protocols.open_inference.statistics import Statistics, VersionStatistics
from rankserve_server.protocols.open_inference.tensors import add_scores, users_and_items
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.conversion import parsed
from rankserve_server.service.exchanges import Exchange
from rankserve_server.service.pair_planning import PairPlanner, PlannedPairs
from rankserve_server.service.planning import Planned
from rankserve_server.service.status import status_of

_NOT_OURS = ("classification", "shared_memory_region")


@dataclass(slots=True)
class PlannedInference:
    """A request on its way.

    Attributes:
        pairs: what is scored.
        id: that the client has given the request.
        shape: of `item_id`, and so of the scores.
        raw: whether the answer is raw bytes.
        statistics: of the version that answers.
        came: on the clock of `time.monotonic_ns`.
        planned: likewise.
    """

    pairs: PlannedPairs
    id: str
    shape: tuple[int, ...]
    raw: bool
    statistics: VersionStatistics
    came: int
    planned: int

    @property
    def jobs(self) -> list[ScoreJob]:
        """What has to be scored."""
        return self.pairs.jobs

    def encoded_response(self) -> bytes:
        """See `Planned`."""
        return self.response().SerializeToString()

    def exchanges(self, _message: bytes, _answer: bytes) -> Iterator[Exchange]:
        """See `Planned`."""
        return self.pairs.exchanges()

    def response(self) -> pb.ModelInferResponse:
        """The same as a message."""
        scored = time.monotonic_ns()
        try:
            scores = self.pairs.scores()
        except Exception:
            self.statistics.failed(scored - self.came)
            raise
        model = self.pairs.model
        response = pb.ModelInferResponse(model_name=model.name, model_version=str(model.version), id=self.id)
        add_scores(response, scores, self.shape, self.raw)
        rows = self.shape[0] if self.shape else 1
        self.statistics.answered(rows, (self.came, self.planned, scored, time.monotonic_ns()))
        return response


@dataclass(slots=True)
class _PlannedStreamInference:
    """The same in a stream, whose answers have a wrapper."""

    inference: PlannedInference

    @property
    def jobs(self) -> list[ScoreJob]:
        return self.inference.jobs

    def encoded_response(self) -> bytes:
        return pb.ModelStreamInferResponse(infer_response=self.inference.response()).SerializeToString()

    def exchanges(self, _message: bytes, _answer: bytes) -> Iterator[Exchange]:
        return self.inference.pairs.exchanges()


class InferencePlanner:
    """Plans requests of ModelInfer."""

    def __init__(self, pairs: PairPlanner, statistics: Statistics) -> None:
        self._pairs = pairs
        self._statistics = statistics

    def plan(self, message: bytes, deadline: float) -> Planned:
        """A `PlanMessage` for ModelInfer."""
        return self._plan(message, deadline)

    def plan_streamed(self, message: bytes, deadline: float) -> Planned:
        """The same for ModelStreamInfer."""
        return _PlannedStreamInference(self._plan(message, deadline))

    def _plan(self, message: bytes, deadline: float) -> PlannedInference:
        came = time.monotonic_ns()
        request = parsed(pb.ModelInferRequest, message)
        users, items = users_and_items(request)
        _check_outputs(request)
        selection = selection_of(request.model_name, request.model_version)
        pairs = self._pairs.plan(users_of(users, items), items.ids, selection, deadline)
        raw = bool(request.raw_input_contents)
        statistics = self._statistics.of(pairs.model)
        return PlannedInference(pairs, request.id, items.shape, raw, statistics, came, time.monotonic_ns())


def refuse_streamed(message: bytes, error: Exception) -> bytes:
    """Says with the id of the request why it cannot be answered: clients tell their answers apart by it."""
    text = status_of(error).message
    try:
        id_ = parsed(pb.ModelInferRequest, message).id
    except Exception:  # that was what is wrong with it
        id_ = ""
    response = pb.ModelStreamInferResponse(error_message=text, infer_response=pb.ModelInferResponse(id=id_))
    return response.SerializeToString()


def _check_outputs(request: pb.ModelInferRequest) -> None:
    check_outputs([output.name for output in request.outputs])
    for output in request.outputs:
        for parameter in _NOT_OURS:
            if parameter in output.parameters:
                raise wrong(output.name, f"this server knows no {parameter!r} of outputs; leave it out")
