"""From a worker to its supervisor, over a pair of sockets."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rankserve_server.metrics import worker_reports
from rankserve_server.metrics.worker_reports import ReportSender, WorkerReports


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_reports, "_EVERY_SECONDS", 0.02)


def collect_calls(calls: list[int]) -> Callable[[], Iterator[Metric]]:
    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("calls_total", "", calls[0])
        yield GaugeMetricFamily("rankserve_requests_in_flight", "", 1)

    return collect


def values(reports: WorkerReports) -> dict[str, float]:
    return {sample.name: sample.value for family in reports.collect() for sample in family.samples}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110, it is about what is collected, which tells nobody of a change
            await asyncio.sleep(0.01)


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


async def test_the_last_report_counts_when_a_worker_stops() -> None:
    reports, calls = WorkerReports(2), [3]
    ours, theirs = pair()
    following = asyncio.create_task(reports.follow(1, ours))
    sender = ReportSender(theirs.detach(), collect_calls(calls))
    sender.start()
    await until(lambda: values(reports).get("calls_total") == 3)
    assert (values(reports)["rankserve_workers"], values(reports)["rankserve_workers_wanted"]) == (1, 2)
    calls[0] = 5
    await asyncio.to_thread(sender.stop)
    await asyncio.wait_for(following, 20)
    assert values(reports)["calls_total"] == 5
    assert values(reports)["rankserve_workers"] == 0
    assert "rankserve_requests_in_flight" not in values(reports)


async def test_a_report_that_is_cut_short_is_none() -> None:
    reports = WorkerReports(1)
    ours, theirs = pair()
    following = asyncio.create_task(reports.follow(1, ours))
    theirs.sendall((1_000).to_bytes(4) + b"half")
    theirs.close()
    await asyncio.wait_for(following, 20)
    assert values(reports)["rankserve_workers"] == 0


def test_a_supervisor_that_does_not_read_holds_up_nobody() -> None:
    ours, theirs = pair()

    def collect() -> Iterator[Metric]:
        yield CounterMetricFamily("calls_total", "x" * 10_000_000, 1)  # more than a socket takes

    sender = ReportSender(theirs.detach(), collect)
    sender.start()
    time.sleep(0.2)
    stopping = threading.Thread(target=sender.stop)
    stopping.start()
    stopping.join(5)
    is_held_up = stopping.is_alive()
    ours.close()  # which lets it go
    stopping.join()
    assert not is_held_up
