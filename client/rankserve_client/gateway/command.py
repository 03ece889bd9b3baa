"""`rankserve gateway`."""

from pathlib import Path
from typing import Any

import click

from rankserve_client.cli.connection import security_of_options, server_options, wrong_option

_FILE = click.Path(path_type=Path)

_EPILOG = """\b
Examples:
  rankserve gateway
  rankserve gateway --server ranking.internal:50051 --tls --host 0.0.0.0
  curl -s http://127.0.0.1:8080/api/v1/rank --json '{"user_id": 42, "candidate_ids": [204, 141, 131]}'

The playground is at http://127.0.0.1:8080/, the OpenAPI document at /openapi.json."""


@click.command(epilog=_EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all of IPv4.")
@click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(0, 65_535),
    help="Port to listen on; 0 for any free one.",
)
@click.option("--http-cert", "certificate", type=_FILE, metavar="FILE", help="Listen with HTTPS: a certificate (PEM).")
@click.option("--http-key", "certificate_key", type=_FILE, metavar="FILE", help="The key of --http-cert (PEM).")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that requests may be sent to, beside this machine's own; * for any. Can be repeated.  [default: any "
    "where --host lets other machines in]",
)
@click.option(
    "--cors-origin",
    "cors_origins",
    multiple=True,
    metavar="ORIGIN",
    help="A site whose pages may call, such as https://shop.example; * for all. Can be repeated.  [default: none]",
)
@click.option(
    "--lend-token",
    is_flag=True,
    help="Call the server with the token of --token-file for those who bring none. Otherwise everybody needs one of "
    "their own where the server asks for it.",
)
@click.option(
    "--max-body-bytes",
    default=4 * 1024 * 1024,
    show_default=True,
    type=click.IntRange(1_024),
    help="Size of the body of one request.",
)
@click.option(
    "--max-requests",
    default=256,
    show_default=True,
    type=click.IntRange(1),
    help="Requests that are answered at the same time; over it, they are refused.",
)
@click.option(
    "--max-connections",
    default=1_000,
    show_default=True,
    type=click.IntRange(1),
    help="Connections that are open at the same time; over it, requests are refused.",
)
@click.option(
    "--drain-seconds",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    help="How long to wait for requests in flight when stopping.",
)
@click.option("--access-log", is_flag=True, help="Log every request on stderr.")
@click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    help="Address for --metrics-port. Whoever can reach it can read the metrics.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help="Port for metrics that Prometheus can scrape, at /metrics; 0 for any free one.  [default: no metrics]",
)
@click.option("--no-playground", is_flag=True, help="Serve no pages.")
@server_options
def gateway(timeout: float, no_playground: bool, **options: Any) -> None:
    """Answer JSON over HTTP by asking a ranking server, and serve a playground for people.

    Its own API, the REST of the Open Inference Protocol and that of TF Serving. Prints one line when it is ready;
    SIGTERM or Ctrl-C finishes what is in flight and stops.
    """
    from rankserve_client.gateway.config import GatewayConfig
    from rankserve_client.gateway.running import run_gateway

    security = security_of_options()
    if (options["certificate"] is None) != (options["certificate_key"] is None):
        raise click.UsageError("--http-cert and --http-key belong together.")
    if options["lend_token"] and security.token_file is None:
        raise click.UsageError("--lend-token needs the token: give --token-file.")
    config = GatewayConfig(security=security, timeout=timeout, playground=not no_playground, **options)
    try:
        run_gateway(config)
    except ValueError as error:
        raise wrong_option(error) from error
