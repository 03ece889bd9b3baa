"""The options of `rankserve serve` that are about Ray Serve, and which of the others Ray decides."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, get_args

import click
from click.core import ParameterSource

from rankserve_server.ray_serve.ray_settings import RaySettings

Engine = Literal["own", "ray"]
_DEFAULTS = RaySettings()
_RAYS = {
    "host": "Ray's proxies listen on every address of their nodes",
    "workers": "replicas take their place, see --replicas",
    "transport": "Ray's proxy takes the calls",
    "grace_seconds": "Ray takes a replica out of its routes before it ends it",
    "drain_seconds": "Ray decides it, as graceful_shutdown_timeout_s of the deployment",
    "max_message_bytes": "Ray decides it, by RAY_SERVE_GRPC_MAX_MESSAGE_SIZE",
    "admin_address": "replicas have no port",
    "reflection": "Ray decides it, as enable_reflection of its grpc_options",
    "metrics_host": "the metrics are among Ray's",
    "metrics_port": "the metrics are among Ray's",
    "tls_cert": "Ray's proxy takes the calls; put TLS before it",
    "tls_key": "Ray's proxy takes the calls; put TLS before it",
    "tls_client_ca": "Ray's proxy takes the calls; put TLS before it",
}
_OTHERS = "Ray has its own connections, logs and traces"
_FOR_REPLICAS = {
    "models_dir",
    "port",
    "default_model",
    "watch_seconds",
    "keep_versions",
    "max_memory_mib",
    "max_table_mib",
    "program_cache",
    "no_program_cache",
    "no_other_protocols",
    "max_candidates",
    "max_top_k",
    "max_history",
    "max_batch_requests",
    "max_batch_candidates",
    "max_queued_candidates",
    "max_queue_ms",
    "max_stream_requests",
    "tokens_file",
    "trusted_keys",
}
# Names of the options, by the field of RaySettings that each sets.
_FIELDS = {
    "ray_address": "address",
    "ray_http_port": "http_port",
    "replicas": "replicas",
    "replica_cpus": "cpus",
    "replicas_per_node": "per_node",
    "replica_version": "version",
    "application": "application",
}


class _Replicas(click.ParamType[str]):
    """N, or MIN:MAX; it stays as it was given, as settings are printed so."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same, once it is known to be one."""
        text = str(value)
        try:
            least, most = _least_and_most(text)
        except ValueError:
            least, most = 0, 0
        if not 1 <= least <= most:
            self.fail(f"{text!r} is neither a number from 1 up, such as 4, nor a range, such as 2:8", param, ctx)
        return text


def _least_and_most(text: str) -> tuple[int, int]:
    least, _, most = text.partition(":")
    return int(least), int(most or least)


_OPTIONS = (
    click.option(
        "--engine",
        default="own",
        show_default=True,
        type=click.Choice(get_args(Engine)),
        help="What answers calls: this process, or replicas of Ray Serve behind its proxy (the extra is `ray`).",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="With --engine ray: of the cluster to deploy to, or `auto` for the one of this machine.  "
        "[default: start one of this machine alone, and end it with the command]",
    ),
    click.option(
        "--ray-http-port",
        default=_DEFAULTS.http_port,
        show_default=True,
        type=click.IntRange(1, 65_535),
        help="With --engine ray: loopback port of Ray Serve's HTTP proxy, which comes with its gRPC proxy.",
    ),
    click.option(
        "--replicas",
        default="1",
        show_default=True,
        type=_Replicas(),
        metavar="N|MIN:MAX",
        help="With --engine ray: how many replicas; of a range, as many as the load needs.",
    ),
    click.option(
        "--replica-cpus",
        default=_DEFAULTS.cpus,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        help="With --engine ray: processors to reserve for a replica; parts such as 0.5 are possible.",
    ),
    click.option(
        "--replicas-per-node",
        type=click.IntRange(1, 100),
        help="With --engine ray: replicas of one node at most.  [default: any number]",
    ),
    click.option(
        "--replica-version",
        type=click.IntRange(1),
        help="With --engine ray: version of the default model that the replicas serve, whatever is published.",
    ),
    click.option(
        "--application",
        default=_DEFAULTS.application,
        show_default=True,
        help="With --engine ray: name of the application; callers send it where the cluster has several.",
    ),
)


def ray_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command gets them as `ray`: RaySettings, None with an engine of our own."""

    @wraps(command)
    def with_ray(engine: Engine, **values: Any) -> None:
        fields = {field: values.pop(name) for name, field in _FIELDS.items()}
        settings = RaySettings(**fields | {"replicas": _least_and_most(fields["replicas"])})
        _check_engine(click.get_current_context(), engine)
        command(ray=settings if engine == "ray" else None, **values)

    for option in reversed(_OPTIONS):
        with_ray = option(with_ray)
    return with_ray


def _check_engine(context: click.Context, engine: Engine) -> None:
    """Refuses what the engine would not heed.

    Raises:
        click.UsageError: where something of that was set.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        if name == "engine" or context.get_parameter_source(name) in (None, ParameterSource.DEFAULT):
            continue
        flag = parameter.opts[0]
        if engine == "own" and name in _FIELDS:
            raise click.UsageError(f"{flag} is for --engine ray only.")
        if engine == "ray" and name not in _FIELDS and name not in _FOR_REPLICAS:
            raise click.UsageError(f"{flag} is not for --engine ray: {_RAYS.get(name, _OTHERS)}.")
