"""Predict, Regress and Classify."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from rankserve_server.engine.engine import Scores
from rankserve_server.limits import Limits
from rankserve_server.protocols.id_tensors import SCORE, check_outputs, users_of
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.protocols.tf_serving import examples, tensors
from rankserve_server.protocols.tf_serving.model_specs import (
    CLASSIFY,
    PREDICT,
    REGRESS,
    answered_by,
    selection_in,
    signature_in,
)
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.conversion import parsed
from rankserve_server.service.exchanges import Exchange
from rankserve_server.service.pair_planning import PairPlanner, PlannedPairs
from rankserve_server.service.planning import Planned


@dataclass(slots=True)
class _PlannedPrediction:
    """A request on its way.

    Attributes:
        pairs: what is scored.
        response: from the scores to the answer.
    """

    pairs: PlannedPairs
    response: Callable[[Scores], Message]

    @property
    def jobs(self) -> list[ScoreJob]:
        """What has to be scored."""
        return self.pairs.jobs

    def encoded_response(self) -> bytes:
        """See `Planned`."""
        return self.response(self.pairs.scores()).SerializeToString()

    def exchanges(self, _message: bytes, _answer: bytes) -> Iterator[Exchange]:
        """See `Planned`."""
        return self.pairs.exchanges()


class PredictionPlanner:
    """Plans requests of PredictionService; its methods are each a `PlanMessage`."""

    def __init__(self, pairs: PairPlanner, limits: Limits) -> None:
        self._pairs = pairs
        self._most_ids = max(limits.max_candidates, limits.max_batch_candidates)
        # Of one user or several: to read an example costs a hundred times as much as to read an id of a tensor, and all
        # others wait meanwhile.
        self._most_examples = limits.max_candidates

    def predict(self, message: bytes, deadline: float) -> Planned:
        """Tensors of users and items."""
        request = parsed(pb.PredictRequest, message)
        signature = signature_in(request.model_spec, PREDICT)
        check_outputs(request.output_filter)
        users, items = tensors.users_and_items(request.inputs, self._most_ids)
        pairs = self._pairs.plan(users_of(users, items), items.ids, selection_in(request.model_spec), deadline)

        def response(scores: Scores) -> pb.PredictResponse:
            outputs = {SCORE: tensors.scores_tensor(scores, items.shape)}
            return pb.PredictResponse(outputs=outputs, model_spec=answered_by(pairs.model, signature))

        return _PlannedPrediction(pairs, response)

    def regress(self, message: bytes, deadline: float) -> Planned:
        """Examples; each gets its score."""
        request = parsed(pb.RegressionRequest, message)
        signature = signature_in(request.model_spec, REGRESS)
        users, items = examples.users_and_items(request.input, self._most_examples)
        pairs = self._pairs.plan(users, items, selection_in(request.model_spec), deadline)

        def response(scores: Scores) -> pb.RegressionResponse:
            regressions = [pb.Regression(value=score) for score in scores.tolist()]
            result = pb.RegressionResult(regressions=regressions)
            return pb.RegressionResponse(result=result, model_spec=answered_by(pairs.model, signature))

        return _PlannedPrediction(pairs, response)

    def classify(self, message: bytes, deadline: float) -> Planned:
        """Examples; each gets one class, whose label is the item and whose score is the predicted rating."""
        request = parsed(pb.ClassificationRequest, message)
        signature = signature_in(request.model_spec, CLASSIFY)
        users, items = examples.users_and_items(request.input, self._most_examples)
        pairs = self._pairs.plan(users, items, selection_in(request.model_spec), deadline)

        def response(scores: Scores) -> pb.ClassificationResponse:
            classifications = [
                pb.Classifications(classes=[pb.Class(label=str(item), score=score)])
                for item, score in zip(items.tolist(), scores.tolist(), strict=True)
            ]
            result = pb.ClassificationResult(classifications=classifications)
            return pb.ClassificationResponse(result=result, model_spec=answered_by(pairs.model, signature))

        return _PlannedPrediction(pairs, response)
