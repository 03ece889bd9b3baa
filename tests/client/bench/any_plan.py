"""A small plan for tests to change."""

from typing import Any

from rankserve_client.bench.plan import Plan
from rankserve_client.bench.workload import IdRange, parse_candidates


def any_plan(target: str = "127.0.0.1:1", **changes: Any) -> Plan:
    """By default a closed loop of 20 requests, one at a time and without warm-up."""
    arguments: dict[str, Any] = {
        "servers": (target,),
        "users": IdRange(1, 9),
        "items": IdRange(1, 99),
        "candidates": parse_candidates("5"),
        "concurrency": 1,
        "rate": None,
        "duration": None,
        "requests": 20,
        "warm_up": 0.0,
    }
    return Plan(**arguments | changes)
