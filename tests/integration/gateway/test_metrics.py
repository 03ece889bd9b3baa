"""What a gateway tells Prometheus of its requests, as Prometheus reads it."""

import socket
from collections.abc import Iterator

import pytest

from integration.gateway.gateway_process import Gateway, running_gateway
from integration.scraping import scrape, scrape_until
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
