"""What is told of calls, and where to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
# As the file of a log: standard output.
STDOUT = Path("-")


@dataclass(frozen=True)
class ObservingConfig:
    """What an operator wants to see of a server beside its metrics. Shares are from 0 to 1.

    Attributes:
        log_format: of what the server says on stderr: for people, or one JSON object a line.
        log_level: what is less important is not said.
        access_log: a line of JSON for each call goes there; `-` for stdout, None for nowhere.
        access_log_sample: the share of calls that are there; those that fail always are.
        request_log: requests with their answers go there, ids included; None for nowhere.
        request_log_sample: the share of calls that are there.
        request_log_max_mib: a request log that is larger is put aside as FILE.1, in place of the one before.
        trace_to: URL of an OTLP collector that takes gRPC; None for what OTEL_EXPORTER_OTLP_ENDPOINT says.
        trace_sample: the share of calls that are traced where the caller has not decided; None for what
            OTEL_TRACES_SAMPLER says.
        warmup: a request log that every version answers before it serves; None for none.
        warmup_requests: so many of it at most.
        warmup_seconds: for so long at most.
        stdout: the file descriptor of `-`; set by the supervisor.
    """

    log_format: LogFormat = "text"
    log_level: LogLevel = "info"
    access_log: Path | None = None
    access_log_sample: float = 1.0
    request_log: Path | None = None
    request_log_sample: float = 0.01
    request_log_max_mib: int = 256
    trace_to: str | None = None
    trace_sample: float | None = None
    warmup: Path | None = None
    warmup_requests: int = 1_000
    warmup_seconds: float = 10.0
    stdout: int = 1
