"""`rankserve serve`."""

import sys
from pathlib import Path
from typing import Any, get_args

import click

from rankserve_server.config import ServerConfig, TransportName, user_program_cache
from rankserve_server.connection_options import Seconds, connection_options, taken_from
from rankserve_server.limits import Limits
from rankserve_server.observing.observing_config import ObservingConfig
from rankserve_server.observing.options import observing_options
from rankserve_server.ray_serve.options import ray_options
from rankserve_server.ray_serve.ray_settings import RaySettings
from rankserve_server.ray_serve.running import run_on_ray
from rankserve_server.running import run_server
from rankserve_server.security.options import security_options
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.storage.models_place import ModelsPlace
from rankserve_server.storage.options import placed, storage_options
from rankserve_server.terminal import is_quiet

_DEFAULTS = ServerConfig()
_LIMITS = Limits()


def _models_in_directory(context: click.Context, _: click.Parameter, begin: str) -> list[str]:
    """What a shell is offered."""
    models_dir: Path | str = context.params.get("models_dir") or _DEFAULTS.models_dir
    if isinstance(models_dir, str) or not models_dir.is_dir():
        return []
    return sorted(path.name for path in models_dir.iterdir() if path.is_dir() and path.name.startswith(begin))


@click.command()
@click.option(
    "--models-dir",
    default=_DEFAULTS.models_dir,
    show_default=True,
    type=ModelsPlace(),
    metavar="DIR|URL",
    help="Where the versions lie: a directory, or a store such as s3://bucket/models.",
)
@storage_options
@click.option(
    "--host",
    default=_DEFAULTS.host,
    show_default=True,
    help="Address to listen on; 0.0.0.0 for all of IPv4, :: for all.",
)
@click.option(
    "--port",
    default=_DEFAULTS.port,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--default-model",
    shell_complete=_models_in_directory,
    help="The model that answers requests that name none.  [default: the only one]",
)
@click.option(
    "--watch-seconds",
    default=_DEFAULTS.watch_seconds,
    show_default=True,
    type=Seconds(),
    help="How often to look for new versions, and for what `rankserve models` has changed; 0 for never.",
)
@click.option(
    "--keep-versions",
    default=_DEFAULTS.keep_versions,
    show_default=True,
    type=click.IntRange(0),
    help="How many of the newest versions of a model to hold, beside those that are pinned, have an alias, or are a "
    "canary or shadow; 0 for all.",
)
@click.option(
    "--max-memory-mib",
    type=click.IntRange(1),
    help="Memory that a process may hold when it loads another version.  [default: what the machine has]",
)
@click.option(
    "--max-table-mib",
    default=_DEFAULTS.max_table_mib,
    show_default=True,
    type=click.IntRange(0),
    help="Memory for the tables of one model, folded to score fast. What would pass it is kept as embeddings: smaller, "
    "but slower to score.",
)
@click.option(
    "--program-cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep compiled programs, so that the next start and the next version of the same shapes load sooner. "
    "Nobody else may be able to write there.  [default: rankserve/programs in the user's cache]",
)
@click.option("--no-program-cache", is_flag=True, help="Keep no compiled programs.")
@click.option(
    "--grace-seconds",
    default=_DEFAULTS.grace_seconds,
    show_default=True,
    type=Seconds(),
    help="How long to answer new calls after a signal, while health says NOT_SERVING and load balancers see that.",
)
@click.option(
    "--drain-seconds",
    default=_DEFAULTS.drain_seconds,
    show_default=True,
    type=Seconds(),
    help="How long to wait for calls in flight when stopping.",
)
@click.option(
    "--transport",
    default=_DEFAULTS.transport,
    show_default=True,
    type=click.Choice(get_args(TransportName)),
    help="How requests are taken: grpcio's asyncio server, or the faster lane of our own where it can be used.",
)
@click.option(
    "--workers",
    default=_DEFAULTS.workers,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Processes that share the port; each holds the models. Connections, not calls, are spread over them.",
)
@click.option(
    "--no-other-protocols",
    is_flag=True,
    help="Do not answer clients of the Open Inference Protocol (Triton, KServe) and of TF Serving.",
)
@click.option(
    "--max-candidates",
    default=_LIMITS.max_candidates,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates of one request.",
)
@click.option(
    "--max-top-k", default=_LIMITS.max_top_k, show_default=True, type=click.IntRange(1), help="top_k of one request."
)
@click.option(
    "--max-history",
    default=_LIMITS.max_history,
    show_default=True,
    type=click.IntRange(1),
    help="Ratings that one request brings along for its user.",
)
@click.option(
    "--max-batch-requests",
    default=_LIMITS.max_batch_requests,
    show_default=True,
    type=click.IntRange(1),
    help="Requests of one BatchRank call, and users of one request of another protocol.",
)
@click.option(
    "--max-batch-candidates",
    default=_LIMITS.max_batch_candidates,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates of all of them together.",
)
@click.option(
    "--max-message-bytes",
    default=_LIMITS.max_message_bytes,
    show_default=True,
    type=click.IntRange(1_024, 2**31 - 1),
    help="Size of one message from a client.",
)
@click.option(
    "--max-queued-candidates",
    default=_LIMITS.max_queued_candidates,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates queued in the whole server; over it, requests are refused.",
)
@click.option(
    "--max-queue-ms",
    default=_LIMITS.max_queue_ms,
    show_default=True,
    type=click.IntRange(0),
    help="How long a request may have to wait, by the measured rate; over it, requests are refused. 0 for any time.",
)
@click.option(
    "--max-stream-requests",
    default=_LIMITS.max_stream_requests,
    show_default=True,
    type=click.IntRange(1),
    help="Requests of one stream that are answered at the same time.",
)
@click.option(
    "--metrics-host",
    default=_DEFAULTS.metrics_host,
    show_default=True,
    help="Address for --metrics-port. Whoever can reach it can read the metrics.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Port for metrics that Prometheus can scrape, at /metrics; 0 for any free one.  [default: no metrics]",
)
@connection_options
@security_options
@observing_options
@ray_options
def serve(
    models_dir: Path | str,
    models_cache: Path | None,
    store_seconds: float,
    max_version_mib: int,
    host: str,
    port: int,
    default_model: str | None,
    watch_seconds: float,
    keep_versions: int,
    max_memory_mib: int | None,
    program_cache: Path | None,
    no_program_cache: bool,
    max_table_mib: int,
    grace_seconds: float,
    drain_seconds: float,
    transport: TransportName,
    workers: int,
    no_other_protocols: bool,
    metrics_host: str,
    metrics_port: int | None,
    security: SecurityConfig,
    observing: ObservingConfig,
    ray: RaySettings | None,
    **limits: Any,
) -> None:
    """Serve the newest version of every model over gRPC, and each newer one as soon as it is published.

    Prints one line when it is ready, but for --quiet. SIGTERM or Ctrl-C finishes what is in flight and stops; a second
    one stops now.

    \b
    Examples:
      rankserve serve --models-dir models --port 50051
      rankserve serve --models-dir s3://bucket/models
      rankserve serve --workers 4 --host 0.0.0.0
      rankserve serve --host 0.0.0.0 --tls-cert tls.crt --tls-key tls.key --tokens-file tokens.toml
    """
    quiet = is_quiet()
    if sys.stderr.isatty() and not quiet:
        click.echo(f"Loading the models of {models_dir}; Ctrl-C stops.", err=True)
    config = ServerConfig(
        **placed(models_dir, models_cache),
        store_seconds=store_seconds,
        max_version_mib=max_version_mib,
        host=host,
        port=port,
        default_model=default_model,
        watch_seconds=watch_seconds,
        keep_versions=keep_versions,
        max_memory_mib=max_memory_mib,
        program_cache=None if no_program_cache else program_cache or user_program_cache(),
        max_table_mib=max_table_mib,
        grace_seconds=grace_seconds,
        drain_seconds=drain_seconds,
        transport=transport,
        workers=workers,
        quiet=quiet,
        other_protocols=not no_other_protocols,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        connections=taken_from(limits),
        limits=Limits(**limits),
        security=security,
        observing=observing,
    )
    reason = run_server(config) if ray is None else run_on_ray(config, ray)
    if reason is not None:
        raise click.ClickException(reason)
