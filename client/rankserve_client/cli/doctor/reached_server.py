"""Whether a server answers: TLS, the token, its models and how long a call takes."""

import statistics
import time
from collections.abc import Iterator

import click

from rankserve_client.cli.connection import connect
from rankserve_client.cli.doctor.findings import Finding
from rankserve_client.client import RankingClient
from rankserve_client.errors import (
    HandshakeFailed,
    PermissionDenied,
    RankServeError,
    Unauthenticated,
    Unreachable,
)
from rankserve_client.model_info import ModelInfo
from rankserve_client.version import __version__

_CALLS = 9
_SLOW_SECONDS = 0.05


def reached_server(servers: tuple[str, ...], timeout: float, *, named: bool) -> Iterator[Finding]:
    """Calls the server.

    Args:
        servers: where it is.
        timeout: of one call, in seconds.
        named: whether the user has said where; else that there is none is nothing bad.
    """
    target = " ".join(servers)
    try:
        with connect(servers, timeout) as client:
            infos = client.models()
            yield _release(target, client.server_version())
            yield from _models(infos)
            yield _latency(client)
    except (click.UsageError, OSError) as error:
        yield Finding(target, "fail", str(error), "correct the options of the connection")
    except RankServeError as error:
        yield _refused(target, error, named)


def _refused(target: str, error: RankServeError, named: bool) -> Finding:
    if isinstance(error, HandshakeFailed):
        return Finding(target, "fail", str(error), "see --tls, --tls-ca and --tls-server-name")
    if isinstance(error, Unauthenticated | PermissionDenied):
        return Finding(target, "fail", str(error), "give a token of its operator with --token-file")
    if isinstance(error, Unreachable):
        advice = "start one: rankserve serve; or say where it is: --server HOST:PORT"
        return Finding(target, "fail" if named else "skip", "no server answers", advice)
    return Finding(target, "fail", str(error), "look into the server's log")


def _release(target: str, version: str) -> Finding:
    if version == __version__:
        return Finding(target, "ok", f"answers, rankserve {version} as here")
    found = f"answers, rankserve {version or 'of an older release'}; here it is {__version__}"
    return Finding(target, "warn", found, "run the same release on both sides; what is new in one is not in the other")


def _models(infos: list[ModelInfo]) -> Iterator[Finding]:
    if not infos:
        yield Finding("served models", "warn", "none", "publish one: rankserve train")
    for info in infos:
        name = f"served {info.name}/{info.version}"
        if info.state == "failed":
            yield Finding(name, "warn", info.state_message, "publish a good version, or: rankserve models reload")
        else:
            yield Finding(name, "ok", info.state)


def _latency(client: RankingClient) -> Finding:
    seconds = []
    for _ in range(_CALLS):
        started = time.perf_counter()
        client.models()
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    found = f"{1_000 * median:.1f} ms, the median of {_CALLS} calls"
    if median > _SLOW_SECONDS:
        return Finding("latency", "warn", found, "is it far away or busy? rankserve bench measures it under load")
    return Finding("latency", "ok", found)
