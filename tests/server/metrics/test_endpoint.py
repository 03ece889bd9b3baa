"""The port for metrics: what it answers, and what it does not let anybody do."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rankserve_server.metrics import endpoint as endpoint_module
from rankserve_server.metrics.endpoint import MetricsEndpoint
from rankserve_server.starting import StartError


class Counting:
    """Says how often it was collected."""

    def __init__(self) -> None:
        self.times = 0
        self.broken = False

    def collect(self) -> Iterator[Metric]:
        self.times += 1
        if self.broken:
            raise RuntimeError("broken")
        yield GaugeMetricFamily("collected", "How often.", self.times)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def port(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(endpoint_module, "_CONNECTION_SECONDS", 1.0)
    endpoint = MetricsEndpoint("127.0.0.1", 0, counting.collect)
    endpoint.start()
    yield int(endpoint._address.rpartition(":")[2])
    endpoint.stop()


def ask(port: int, request: bytes, seconds: float = 10.0) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(request)
        parts = []
        with contextlib.suppress(ConnectionResetError):  # it was cut off with something unread
            while part := connection.recv(65_536):
                parts.append(part)
        return b"".join(parts)


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_metrics_are_there(port: int) -> None:
    head, _, body = ask(port, get("/metrics")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    (family,) = text_string_to_metric_families(body.decode())
    assert (family.name, family.type) == ("collected", "gauge")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/metrics?name=collected"), 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (get("/"), 404),
        (get("/healthz"), 404),
        (get("/metrics/"), 404),
        (get("/-/reload"), 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 405),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET  HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 10_000 + b"\r\n\r\n", 431),
        (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 10_000, 431),  # without an end
    ],
)
def test_nothing_else_is(port: int, request_: bytes, status: int) -> None:
    assert status_of(ask(port, request_)) == status


def test_a_text_is_made_once_a_second(port: int, counting: Counting) -> None:
    started = time.monotonic()
    answers = {ask(port, get("/metrics")) for _ in range(20)}
    assert len(answers) == counting.times <= time.monotonic() - started + 1


def test_what_cannot_be_collected_is_an_error_once(
    port: int, counting: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    counting.broken = True
    assert status_of(ask(port, get("/metrics"))) == 500
    assert "could not be collected" in caplog.text
    counting.broken = False
    assert status_of(ask(port, get("/metrics"))) == 200


def test_slow_ones_are_cut_off_and_others_get_their_turn(port: int) -> None:
    """More of them than there is room for, that send a byte now and then."""
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(12)]
        started = time.monotonic()
        for connection in slow:
            connection.sendall(b"G")
        assert status_of(ask(port, get("/metrics"), seconds=20)) == 200
        assert time.monotonic() - started < 10
        assert slow[0].recv(1) == b""


def test_a_flood_of_connections_takes_little(port: int) -> None:
    """A hundred a second at most are taken, and the processor's time for them is bounded with that."""
    before, started = time.process_time(), time.monotonic()
    for _ in range(100):
        ask(port, get("/nothing"))
    took = time.monotonic() - started
    assert took >= 0.9
    assert time.process_time() - before < took


def test_a_port_that_is_taken_is_said(port: int) -> None:
    with pytest.raises(StartError, match=rf"cannot serve metrics on 127\.0\.0\.1:{port}: .*--metrics-port"):
        MetricsEndpoint("127.0.0.1", port, Counting().collect)


def test_the_port_is_free_after_the_end() -> None:
    endpoint = MetricsEndpoint("127.0.0.1", 0, Counting().collect)
    port = int(endpoint._address.rpartition(":")[2])
    endpoint.start()
    assert status_of(ask(port, get("/metrics"))) == 200
    endpoint.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(port, get("/metrics"))
