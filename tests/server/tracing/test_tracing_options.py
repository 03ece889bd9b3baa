"""Whether calls are traced, and which: by the options, and by OpenTelemetry's variables."""

import sys

import pytest

from rankserve_server.observing.observing_config import ObservingConfig
from rankserve_server.starting import StartError
from rankserve_server.tracing.opening import is_traced
from rankserve_server.tracing.sampling import Sampling, sampling_of
from rankserve_server.tracing.trace_context import TraceParent

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}
TO_COLLECTOR = ObservingConfig(trace_to="http://127.0.0.1:4317")


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        (ObservingConfig(), {}, False),
        (TO_COLLECTOR, {}, True),
        (ObservingConfig(), COLLECTOR, True),
        (ObservingConfig(), {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, True),
        (ObservingConfig(), COLLECTOR | {"OTEL_SDK_DISABLED": "true"}, False),
        (ObservingConfig(), COLLECTOR | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ObservingConfig(), COLLECTOR | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, False),
    ],
)
def test_who_asks_for_it_gets_it(config: ObservingConfig, environment: dict[str, str], expected: bool) -> None:
    assert is_traced(config, environment) is expected


def test_a_missing_extra_is_one_line_or_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(StartError, match=r"--trace-to needs the extra `tracing`; install it with: pip install"):
        is_traced(TO_COLLECTOR, {})
    assert not is_traced(ObservingConfig(), COLLECTOR)
    assert "pip install 'rankserve[tracing]'" in caplog.text


@pytest.mark.parametrize(
    ("ratio", "environment", "expected"),
    [
        (None, {}, Sampling(1.0)),
        (0.25, {"OTEL_TRACES_SAMPLER": "always_off"}, Sampling(0.25)),
        (None, {"OTEL_TRACES_SAMPLER": "always_on"}, Sampling(1.0, follows_parent=False)),
        (None, {"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, Sampling(0.0)),
        (None, {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, Sampling(0.5)),
        (None, {"OTEL_TRACES_SAMPLER": "traceidratio"}, Sampling(1.0, follows_parent=False)),
    ],
)
def test_the_samplers_of_opentelemetry_are_known(
    ratio: float | None, environment: dict[str, str], expected: Sampling
) -> None:
    assert sampling_of(ratio, environment) == expected


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER is 'jaeger_remote' and can be always_on, "),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG is '2'"),
    ],
)
def test_what_is_not_known_is_said(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(StartError, match=problem):
        sampling_of(None, environment)


def test_a_caller_who_has_decided_is_followed() -> None:
    sampled, unsampled = TraceParent(1, 2, sampled=True), TraceParent(1, 2, sampled=False)
    never, always = Sampling(0.0), Sampling(1.0, follows_parent=False)
    assert [never.takes(parent) for parent in (None, sampled, unsampled)] == [False, True, False]
    assert [always.takes(parent) for parent in (None, sampled, unsampled)] == [True, True, True]
    assert 300 < sum(Sampling(0.5).takes(None) for _ in range(1_000)) < 700
