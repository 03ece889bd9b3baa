"""What `rankserve serve --engine ray` does: deploys, waits for a signal, and takes away what it has deployed."""

import importlib.util
import os
import signal
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rankserve_server.config import ServerConfig, address_of, encode_config
from rankserve_server.ray_serve.ray_settings import RaySettings
from rankserve_server.starting import READY, StartError, bound, print_ready

_SECONDS = 10.0
# Ray would have its workers yield to whatever else runs here, and answers would wait for that.
_NICENESS = "RAY_worker_niceness"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def run_on_ray(config: ServerConfig, settings: RaySettings) -> str | None:
    """Serves until a signal ends it.

    Returns:
        Why it could not start; None where it did.
    """
    if importlib.util.find_spec("ray") is None:
        return "--engine ray needs Ray Serve; install it with: pip install 'rankserve[server,ray]'"
    if not config.models_dir.is_dir():
        return f"{config.models_dir} is no directory; publish a model with: rankserve train"
    stop = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: stop.set())
    try:
        _serve(config, settings, stop)
    except StartError as error:
        return str(error)
    return None


def _serve(config: ServerConfig, settings: RaySettings, stop: threading.Event) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unless that was asked for
    import ray
    from ray import serve

    _connect(config, settings)
    try:
        _start_serve(config, settings)
        _deploy(config, settings)
        try:
            _check_answered(config, settings)
            if not config.quiet:
                print_ready(f"{READY}{_target(config)}, application {settings.application} on Ray Serve")
            stop.wait()
        finally:
            serve.delete(settings.application)
    finally:
        if settings.address is None:
            serve.shutdown()
        ray.shutdown()


def _connect(config: ServerConfig, settings: RaySettings) -> None:
    import ray

    if settings.address is None:
        # Ray's proxies share a port that somebody else listens on, and tell nobody.
        for name, host, port in (("--port", "::", config.port), ("--ray-http-port", "127.0.0.1", settings.http_port)):
            try:
                bound(host, port)
            except OSError as error:
                raise StartError(f"port {port} is taken; choose another one with {name}") from error
        os.environ.setdefault(_NICENESS, "0")
    try:
        ray.init(address=settings.address or "local", include_dashboard=None if settings.address else False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StartError(f"there is no Ray cluster at {settings.address or 'this machine'}: {error}") from error


def _start_serve(config: ServerConfig, settings: RaySettings) -> None:
    from ray import serve
    from ray.serve.config import HTTPOptions, gRPCOptions

    from rankserve_server.ray_serve.proxy_services import ADD_SERVICES

    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=settings.http_port),
        grpc_options=gRPCOptions(port=config.port, grpc_servicer_functions=[ADD_SERVICES]),
    )


def _deploy(config: ServerConfig, settings: RaySettings) -> None:
    from ray import serve

    from rankserve_server.ray_serve.application import ranking

    least, most = settings.replicas
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": settings.cpus}}
    if settings.per_node is not None:
        options["max_replicas_per_node"] = settings.per_node
    if least == most:
        options["num_replicas"] = least
    else:
        options["autoscaling_config"] = {"min_replicas": least, "max_replicas": most}
    security = replace(
        config.security,
        tokens_file=None if config.security.tokens_file is None else config.security.tokens_file.absolute(),
        trusted_keys=tuple(path.absolute() for path in config.security.trusted_keys),
    )
    inside = replace(config, models_dir=config.models_dir.absolute(), host="::", quiet=True, security=security)
    application = ranking.options(**options).bind(encode_config(inside), settings.version)
    try:
        serve.run(application, name=settings.application, route_prefix=f"/{settings.application}")
    except RuntimeError as error:
        status = serve.status().applications.get(settings.application)
        with suppress(Exception):
            serve.delete(settings.application)
        raise StartError(f"Ray Serve could not deploy: {_last_line(status, error)}") from error


def _last_line(status: Any, error: Exception) -> str:
    """What a replica has said, which Ray reports with its traceback."""
    messages = [] if status is None else [each.message for each in status.deployments.values() if each.message]
    lines = [line.strip() for line in (messages or [str(error)])[0].splitlines() if line.strip()]
    said = [line.partition("RuntimeError: ")[2] for line in lines if "RuntimeError: " in line]
    last: str = (said or lines or ["it does not say why"])[-1]
    return last


def _check_answered(config: ServerConfig, settings: RaySettings) -> None:
    """Serve that ran already keeps its own gRPC options, and says so in its log only."""
    import grpc

    if settings.address not in (None, "auto", "local"):
        return  # this machine may be none of its nodes
    with grpc.insecure_channel(_target(config)) as channel:
        try:
            check: Any = channel.unary_unary("/grpc.health.v1.Health/Check")
            check(
                b"",
                timeout=_SECONDS,
                wait_for_ready=True,
                metadata=(("application", settings.application),),
            )
        except grpc.RpcError as error:
            raise StartError(
                f"Ray Serve does not answer at {_target(config)}: where it ran already, it keeps its own grpc_options, "
                "which docs/ray.md says what to set to"
            ) from error


def _target(config: ServerConfig) -> str:
    return address_of("127.0.0.1", config.port)
