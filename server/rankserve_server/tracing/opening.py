"""Whether there is tracing, and where to."""

import importlib.util
import logging
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rankserve_server.observing.observing_config import ObservingConfig
from rankserve_server.starting import StartError
from rankserve_server.tracing.sampling import Sampling, sampling_of

if TYPE_CHECKING:
    from rankserve_server.tracing.spans import Spans

_log = logging.getLogger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc")
_INSTALL = "install it with: pip install 'rankserve[tracing]'"


def is_traced(config: ObservingConfig, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is tracing: where an operator asks for it, by the option or by OpenTelemetry's variables.

    Raises:
        StartError: where he does by the option and the libraries for it are missing, or asks for what is not known.
    """
    if config.trace_to is None and not _wanted_by(environment):
        return False
    if not _is_installed():
        if config.trace_to is not None:
            raise StartError(f"--trace-to needs the extra `tracing`; {_INSTALL}")
        # The variables may be those of a whole cluster.
        _log.warning("No tracing, though OpenTelemetry's variables ask for it: the extra is missing; %s.", _INSTALL)
        return False
    sampling_of(config.trace_sample, environment)
    return True


def open_tracing(config: ObservingConfig) -> "tuple[Spans, Sampling] | tuple[None, None]":
    """What makes spans, and what decides which; None where there is no tracing.

    Raises:
        StartError: as above.
    """
    if not is_traced(config):
        return None, None
    # OpenTelemetry is imported only where it is used.
    from rankserve_server.tracing.spans import Spans

    return Spans(config.trace_to, f"{socket.gethostname()}-{os.getpid()}"), sampling_of(config.trace_sample)


def _wanted_by(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() not in ("", "otlp"):
        return False
    if not any(environment.get(name) for name in _ENDPOINTS):
        return False
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), "grpc")
    if protocol != "grpc":
        _log.warning("No tracing: OTLP is sent over gRPC only, and OpenTelemetry's variables ask for %r.", protocol)
    return protocol == "grpc"


def _is_installed() -> bool:
    try:
        return all(importlib.util.find_spec(name) is not None for name in _LIBRARIES)
    except ModuleNotFoundError:  # not even the package that they are in
        return False
