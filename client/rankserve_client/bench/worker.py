"""One process of the generator. It is spawned, not forked: gRPC does not survive a fork."""

import gc
import itertools
import signal
import threading
import time
import traceback
from collections.abc import Iterator, MutableSequence, Sequence
from multiprocessing.connection import Connection
from typing import Final

from rankserve_client.bench.arrivals import poisson_arrivals
from rankserve_client.bench.closed_loop import run_closed_loop
from rankserve_client.bench.connections import Connections
from rankserve_client.bench.open_loop import run_open_loop
from rankserve_client.bench.plan import Plan
from rankserve_client.bench.request_log import read_share
from rankserve_client.bench.tally import Tally
from rankserve_client.bench.workload import AnyRequest, make_requests

READY: Final = "ready"
_PROGRESS_EVERY = 0.25


def run_worker(plan: Plan, parent: Connection, progress: "MutableSequence[int]") -> None:
    """Warms up, says `READY`, is told when to start (`time.monotonic()`), and sends its `Counts` or a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal; the parent ends us
    try:
        often_idle = plan.concurrency is None
        with Connections(
            plan.servers, plan.connections, plan.timeout, often_idle=often_idle, security=plan.security
        ) as connections:
            _work(plan, connections, parent, progress)
    except (BrokenPipeError, EOFError):
        return  # the parent has gone
    except Exception:
        parent.send(traceback.format_exc())


def _work(plan: Plan, connections: Connections, parent: Connection, progress: "MutableSequence[int]") -> None:
    pool, recorded = _pool(plan)
    gc.collect()
    gc.freeze()  # the pool's objects stay: no collection has to look at them while the load runs
    requests = itertools.cycle(pool)
    connections.open(pool[0])
    if plan.warm_up:
        run_load(plan.warming_up(), connections, requests, time.monotonic(), recorded=recorded)
        requests = itertools.cycle(pool)  # a log is sent from its first request on
    parent.send(READY)
    start: float = parent.recv()
    parent.send(run_load(plan, connections, requests, start, progress, recorded).counts)


def _pool(plan: Plan) -> tuple[Sequence[AnyRequest], Sequence[float]]:
    """What is sent, over and over, and when each was made that was recorded."""
    if plan.replay is not None:
        return read_share(plan.replay, plan.process, plan.processes, plan.model, plan.version)
    made = make_requests(
        plan.candidates,
        plan.users,
        plan.items,
        top_k=plan.top_k,
        model=plan.model,
        version=plan.version,
        seed=_seed(plan, "requests"),
    )
    return made, ()


def run_load(
    plan: Plan,
    connections: Connections,
    requests: Iterator[AnyRequest],
    start: float,
    progress: "MutableSequence[int] | None" = None,
    recorded: Sequence[float] = (),
) -> Tally:
    """Runs the load of a plan from `start` on; returns when every call has ended.

    `recorded` is when each request was made, in seconds from the first, for a plan with a `speed`.
    """
    tally = Tally(start, plan.duration, plan.interval)
    ended = threading.Event()
    if progress is not None:
        threading.Thread(target=_report_progress, args=(tally, progress, ended), daemon=True).start()
    try:
        if plan.rate is not None:
            arrivals = poisson_arrivals(plan.rate, _seed(plan, "arrivals"))
            run_open_loop(connections, requests, arrivals, plan.max_outstanding, plan.requests, tally)
        elif plan.speed is not None:
            speed, count = plan.speed, min(len(recorded), plan.requests or len(recorded))
            due = (seconds / speed for seconds in recorded)
            run_open_loop(connections, requests, due, plan.max_outstanding, count, tally)
        elif plan.concurrency is not None:
            run_closed_loop(connections, requests, plan.concurrency, plan.requests, tally)
    finally:
        ended.set()
    return tally


def _report_progress(tally: Tally, progress: "MutableSequence[int]", ended: threading.Event) -> None:
    while not ended.wait(_PROGRESS_EVERY):
        counts = tally.counts
        progress[:] = [counts.answered, counts.failed, counts.wrong.total()]


def _seed(plan: Plan, what: str) -> str:
    return f"{plan.seed} {what} {plan.process}"
