"""`rankserve serve`."""

import asyncio
import logging
import os
from pathlib import Path
from typing import get_args

import click

from rankserve_server.config import ServerConfig, TransportName
from rankserve_server.limits import Limits

_DEFAULTS = ServerConfig()
_LIMITS = Limits()


@click.command()
@click.option(
    "--models-dir",
    default=_DEFAULTS.models_dir,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where the versions lie.",
)
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
@click.option("--default-model", help="The model that answers requests that name none.  [default: the only one]")
@click.option(
    "--drain-seconds",
    default=_DEFAULTS.drain_seconds,
    show_default=True,
    type=click.FloatRange(0),
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
    "--max-batch-requests",
    default=_LIMITS.max_batch_requests,
    show_default=True,
    type=click.IntRange(1),
    help="Requests of one BatchRank call.",
)
@click.option(
    "--max-batch-candidates",
    default=_LIMITS.max_batch_candidates,
    show_default=True,
    type=click.IntRange(1),
    help="Candidates of one BatchRank call.",
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
    "--max-stream-requests",
    default=_LIMITS.max_stream_requests,
    show_default=True,
    type=click.IntRange(1),
    help="Requests of one stream that are answered at the same time.",
)
def serve(
    models_dir: Path,
    host: str,
    port: int,
    default_model: str | None,
    drain_seconds: float,
    transport: TransportName,
    **limits: int,
) -> None:
    """Serve the newest version of every model over gRPC.

    Prints one line when it is ready. SIGTERM or Ctrl-C finishes what is in flight and stops; a second one stops now.

    \b
    Example:
      rankserve serve --models-dir models --port 50051
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = ServerConfig(models_dir, host, port, default_model, drain_seconds, transport, Limits(**limits))

    # gRPC writes what goes wrong to stderr in its own words, beside the one line that says it in ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # JAX and gRPC are imported only now, so that `--help` is fast.
    from rankserve_server.server import Server, StartError
    from rankserve_training.artifact import ArtifactError

    try:
        asyncio.run(Server(config).run())
    except (StartError, ArtifactError) as error:
        raise click.ClickException(str(error)) from error
