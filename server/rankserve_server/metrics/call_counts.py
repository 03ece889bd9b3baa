"""Calls by method. The methods are those that the server has; whatever else is called is one more."""

import threading
import time
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.metrics.distribution import Distribution
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_CODES = 17  # of gRPC: OK is 0, UNAUTHENTICATED 16
_SERVICES: tuple[Any, ...] = (  # descriptors, which are of several types
    *open_inference_pb2.DESCRIPTOR.services_by_name.values(),
    *tf_serving_pb2.DESCRIPTOR.services_by_name.values(),
    ranking_pb2.DESCRIPTOR.services_by_name["RankingService"],
    models_pb2.DESCRIPTOR.services_by_name["ModelService"],
    health_pb2.DESCRIPTOR.services_by_name["Health"],
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"],
)
_TYPES = {
    (False, False): "unary",
    (False, True): "server_stream",
    (True, False): "client_stream",
    (True, True): "bidi_stream",
}
_UNKNOWN = "unknown"


class MethodCounts:
    """Calls of one method; only one thread at a time counts.

    Attributes:
        labels: grpc_type, grpc_service and grpc_method.
        started: calls that came.
        received: messages of callers.
        sent: messages to callers.
        codes: calls that ended, by the number of their status code.
        handling: seconds from a call's arrival to its status.
        just_answered: when the unary calls came that ended well since `count_answered`.
    """

    __slots__ = ("codes", "handling", "just_answered", "labels", "received", "sent", "started")

    def __init__(self, labels: tuple[str, str, str]) -> None:
        self.labels = labels
        self.started = 0
        self.received = 0
        self.sent = 0
        self.codes = [0] * _CODES
        self.handling = Distribution(_SECONDS)
        self.just_answered: list[float] = []

    def ended(self, code: int, since: float) -> None:
        """Counts the end of a call that came at a time of `time.monotonic`."""
        self.codes[code] += 1
        self.handling.add(time.monotonic() - since)

    def count_answered(self) -> None:
        """Counts those of `just_answered`, with their messages: together, as that takes a fraction of the time."""
        count = len(self.just_answered)
        now = time.monotonic()
        self.received += count
        self.sent += count
        self.codes[0] += count
        self.handling.pending.extend([now - since for since in self.just_answered])
        self.handling.sort_many()
        self.just_answered.clear()

    def add_from(self, other: "MethodCounts") -> None:
        """Counts what another one has counted."""
        self.started += other.started
        self.received += other.received
        self.sent += other.sent
        self.codes = [mine + its for mine, its in zip(self.codes, other.codes, strict=True)]
        self.handling.add_from(other.handling)


class CallCounts:
    """The calls of one server.

    Attributes:
        lock: held while counting by those of whom several threads count the same method.
    """

    def __init__(self) -> None:
        """Every method is there from the start, so that a rate can be told from the first call on."""
        self.lock = threading.Lock()
        self._methods = {
            f"/{service.full_name}/{method.name}": MethodCounts(
                (_TYPES[method.client_streaming, method.server_streaming], service.full_name, method.name)
            )
            for service in _SERVICES
            for method in service.methods
        }
        self._unknown = MethodCounts((_UNKNOWN, _UNKNOWN, _UNKNOWN))

    def of(self, method: str) -> MethodCounts:
        """The counts of `/package.Service/Method`; all that the server does not have share theirs."""
        return self._methods.get(method, self._unknown)

    def all(self) -> list[MethodCounts]:
        """Those of every method, and of the unknown ones, always in the same order."""
        return [*self._methods.values(), self._unknown]
