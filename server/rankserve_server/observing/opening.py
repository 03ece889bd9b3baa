"""Makes the observer that an operator wants."""

import os
from typing import TYPE_CHECKING

from rankserve_server.logs.line_file import LineFile, LineStream
from rankserve_server.metrics.observer_counts import ObserverCounts
from rankserve_server.observing.observing_config import STDOUT, ObservingConfig
from rankserve_server.starting import StartError
from rankserve_server.tracing.opening import is_traced, open_tracing

if TYPE_CHECKING:
    from pathlib import Path

    from rankserve_server.observing.call_observer import CallObserver

# Of the access log: for the owner and his group. Of the request log, which has ids: for the owner alone.
_ACCESS_MODE, _REQUEST_MODE = 0o640, 0o600


def check_observing(config: ObservingConfig) -> None:
    """Finds out before anything is started whether the operator can have what he wants.

    Raises:
        StartError: where a file cannot be opened, or what traces calls is missing.
    """
    is_traced(config)
    for option, path, mode in (
        ("--access-log", config.access_log, _ACCESS_MODE),
        ("--request-log", config.request_log, _REQUEST_MODE),
    ):
        if path is not None and path != STDOUT:
            _opened(option, path, mode).close()
    if config.warmup is not None and not os.access(config.warmup, os.R_OK):
        raise StartError(f"cannot read --warmup {config.warmup}")


def open_observer(config: ObservingConfig, counts: ObserverCounts | None) -> "CallObserver | None":
    """None where the operator wants to see no calls.

    Raises:
        StartError: as above.
    """
    counts = counts or ObserverCounts()
    spans, sampling = open_tracing(config)
    if spans is None and config.access_log is None and config.request_log is None:
        return None
    from rankserve_server.logs.access_log import AccessLog
    from rankserve_server.observing.call_observer import CallObserver
    from rankserve_server.request_log.request_log import RequestLog

    access_log, request_log = None, None
    if config.access_log == STDOUT:
        access_log = AccessLog(LineStream(config.stdout), counts)
    elif config.access_log is not None:
        access_log = AccessLog(_opened("--access-log", config.access_log, _ACCESS_MODE), counts)
    if config.request_log is not None:
        file = _opened("--request-log", config.request_log, _REQUEST_MODE, config.request_log_max_mib)
        request_log = RequestLog(file, counts)
    shares = config.access_log_sample, config.request_log_sample
    return CallObserver(counts, access_log, request_log, spans, sampling, *shares)


def _opened(option: str, path: "Path", mode: int, max_mib: int | None = None) -> LineFile:
    try:
        return LineFile(path, mode, max_mib)
    except OSError as error:
        raise StartError(f"cannot write {option} {path}: {error.strerror}") from error
