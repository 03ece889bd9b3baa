"""What Ray Serve costs: one replica behind its proxy beside a server of our own, under the same load, in turn."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h2load
from processes import Contender, rankserve, running
from tables import spread, table

ROUNDS = 5
_CANDIDATES = (100, 500)
_REQUESTS = 2_000
_PORT = 27_840
_HTTP_PORT = 27_849


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    command = (str(Path(sys.executable).parent / "rankserve"), "serve", "--models-dir", str(models_dir))
    options = ("--engine", "ray", "--ray-http-port", str(_HTTP_PORT), "--port", "{port}")
    ray = Contender("Ray Serve", (*command, *options))
    rows = []
    with running([rankserve("auto"), ray], models_dir, _PORT) as (own, on_ray):
        for count in _CANDIDATES:
            rates = [
                (h2load.measure(own, count, _REQUESTS).rate, h2load.measure(on_ray, count, _REQUESTS).rate)
                for _ in range(ROUNDS)
            ]
            alone, behind = zip(*rates, strict=True)
            ratio = median(mine / rays for mine, rays in rates)
            rows.append([str(count), spread(list(alone)), spread(list(behind)), f"{ratio:.1f}"])
            log(f"ray_cost: {count} candidates done")
    heads = ["candidates", "own, requests/s", "Ray Serve, requests/s", "own / Ray Serve"]
    return f"{_introduction()}\n\n{table(heads, rows)}"


def _introduction() -> str:
    at_a_time = h2load.CONNECTIONS * h2load.STREAMS
    return (
        f"`rankserve serve` and `rankserve serve --engine ray` with one replica, {at_a_time} requests at a time: "
        f"median of {ROUNDS} rounds (lowest to highest) of {_REQUESTS:,} requests, in turn, and that of their "
        "ratios. The load generator and all of Ray's processes share the processors."
    )
