"""What a gateway tells Prometheus of its requests, as Prometheus reads it."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from integration.gateway.gateway_process import Gateway, running_gateway
from integration.scraping import metrics_url, scrape, scrape_until
from integration.server_process import ServerProcess

RANK, MODEL = "/api/v1/rank", "/api/v1/models/{model}"
REQUESTS = "rankserve_gateway_requests_total"


@pytest.fixture(scope="module")
def measured(behind: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    errors = tmp_path_factory.mktemp("measured") / "errors"
    with running_gateway(errors, "--server", behind.address, "--metrics-port", "0") as gateway:
        yield gateway


def test_requests_are_counted_by_route_method_and_status(measured: Gateway) -> None:
    before = scrape(measured)
    for _ in range(3):
        assert measured.post(RANK, {"user_id": 18, "candidate_ids": [5]}).status == 200
    assert measured.post(RANK, b"{").status == 400  # the gateway's own refusal
    assert measured.post(RANK, {"user_id": 18, "top_k": 10_001}).status == 400  # the server's
    assert measured.get("/api/v1/models/nobody").status == 404
    assert measured.get("/api/v1/models/none").status == 404
    assert measured.call("BREW", f"/{'coffee' * 9}").status == 404
    # An answer is there before it is counted.
    found = scrape_until(measured, lambda seen: seen.value(REQUESTS) == before.value(REQUESTS) + 8)

    def counted(name: str, **labels: str) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    assert counted(REQUESTS, route=RANK, method="POST", status="200") == 3
    assert counted(REQUESTS, route=RANK, method="POST", status="400") == 2
    assert counted(REQUESTS, route=MODEL, method="GET", status="404") == 2
    assert counted(REQUESTS, route="other", method="other", status="404") == 1
    failures = "rankserve_gateway_upstream_failures_total"
    assert counted(failures, code="INVALID_ARGUMENT") == 1
    assert counted(failures, code="NOT_FOUND") == 2
    assert counted("rankserve_gateway_request_seconds_count", route=RANK, method="POST") == 5
    buckets = found.matching("rankserve_gateway_request_seconds_bucket", route=RANK, le="+Inf")
    assert sum(bucket.value for bucket in buckets) == found.value("rankserve_gateway_request_seconds_count", route=RANK)
    assert 0 < counted("rankserve_gateway_request_seconds_sum", route=RANK) < 60
    assert found.value("process_resident_memory_bytes") > 0


def test_a_request_is_in_flight_until_it_is_answered(measured: Gateway) -> None:
    in_flight = "rankserve_gateway_requests_in_flight"
    host, _, port = measured.address.rpartition(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(f"POST {RANK} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\n".encode())
        scrape_until(measured, lambda seen: seen.value(in_flight) == 1)
    scrape_until(measured, lambda seen: seen.value(in_flight) == 0)


def test_a_server_that_is_not_there_is_a_failure(tmp_path_factory: pytest.TempPathFactory) -> None:
    errors = tmp_path_factory.mktemp("alone") / "errors"
    with running_gateway(errors, "--server", "127.0.0.1:9", "--timeout", "1", "--metrics-port", "0") as gateway:
        assert gateway.post(RANK, {"user_id": 1, "candidate_ids": [5]}).status in (503, 504)
        codes = {each.labels["code"] for each in scrape(gateway).matching("rankserve_gateway_upstream_failures_total")}
    assert codes <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert codes


def ask_for_metrics(gateway: Gateway, request: bytes) -> int:
    """The status of the answer."""
    with socket.create_connection(("127.0.0.1", urlsplit(metrics_url(gateway)).port or 0), timeout=20) as connection:
        connection.sendall(request)
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics?name=process_open_fds HTTP/1.1\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\nx: " + b"y" * 10_000, 431),  # without an end
    ],
)
def test_the_port_for_metrics_answers_nothing_else(measured: Gateway, request_: bytes, status: int) -> None:
    assert ask_for_metrics(measured, request_) == status


def test_slow_readers_of_metrics_hold_nobody_up(measured: Gateway) -> None:
    """More of them than there is room for, which send a byte now and then; each would have had a thread."""
    address, started = ("127.0.0.1", urlsplit(metrics_url(measured)).port or 0), time.monotonic()
    threads = Path(f"/proc/{measured.process.pid}/task")
    before = len(list(threads.iterdir()))
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address, timeout=15)) for _ in range(12)]
        for connection in slow:
            connection.sendall(b"G")
        assert ask_for_metrics(measured, b"GET /metrics HTTP/1.1\r\n\r\n") == 200
        assert len(list(threads.iterdir())) <= before
        assert slow[0].recv(1) == b""
    assert time.monotonic() - started < 15
