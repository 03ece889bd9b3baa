"""What ModelStatistics tells: how many requests of this protocol a version has answered, and how long they took."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.protocols.messages import open_inference_pb2 as pb


@dataclass(slots=True)
class _Duration:
    count: int = 0
    ns: int = 0

    def add(self, ns: int) -> None:
        self.count += 1
        self.ns += ns

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=self.ns)


@dataclass(slots=True)
class VersionStatistics:
    """Of one version. One thread counts, any may read.

    Attributes:
        inferences: rows of `item_id` that were scored, or their elements where it has one dimension.
        last_ms: when the last one was, since 1970.
    """

    inferences: int = 0
    last_ms: int = 0
    _success: _Duration = field(default_factory=_Duration)
    _fail: _Duration = field(default_factory=_Duration)
    _input: _Duration = field(default_factory=_Duration)
    _infer: _Duration = field(default_factory=_Duration)
    _output: _Duration = field(default_factory=_Duration)

    def answered(self, rows: int, times: Sequence[int]) -> None:
        """Counts a request; `times` in ns: when it came, was planned, was scored, and its answer was there."""
        came, planned, scored, done = times
        self.inferences += rows
        self.last_ms = time.time_ns() // 1_000_000
        self._success.add(done - came)
        self._input.add(planned - came)
        self._infer.add(scored - planned)
        self._output.add(done - scored)

    def failed(self, ns: int) -> None:
        """Counts a request that was planned and could not be answered."""
        self._fail.add(ns)

    def message(self, name: str, version: int) -> pb.ModelStatistics:
        """The whole. The time in the queue is part of the computing: the two are not measured apart."""
        return pb.ModelStatistics(
            name=name,
            version=str(version),
            last_inference=self.last_ms,
            inference_count=self.inferences,
            execution_count=self._success.count,
            inference_stats=pb.InferStatistics(
                success=self._success.message(),
                fail=self._fail.message(),
                queue=pb.StatisticDuration(count=self._success.count),
                compute_input=self._input.message(),
                compute_infer=self._infer.message(),
                compute_output=self._output.message(),
            ),
        )


class Statistics:
    """Of all versions that were ever asked."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, int], VersionStatistics] = {}

    def of(self, model: LoadedModel) -> VersionStatistics:
        """Those of a version."""
        return self.of_version(model.name, model.version)

    def of_version(self, name: str, version: int) -> VersionStatistics:
        """The same by its name."""
        return self._versions.setdefault((name, version), VersionStatistics())
