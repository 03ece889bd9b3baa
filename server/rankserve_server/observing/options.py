"""The options of `rankserve serve` about what can be seen of it; together they make an `ObservingConfig`."""

import functools
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import click

from rankserve_server.connection_options import Seconds
from rankserve_server.observing.observing_config import LogFormat, LogLevel, ObservingConfig


class Share(click.FloatRange):
    """A share from 0 to 1; click's own ranges let "nan" pass."""

    name = "ratio"

    def __init__(self) -> None:
        super().__init__(0, 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share, or one line that says why it is none."""
        share: float = super().convert(value, param, ctx)
        if math.isnan(share):
            self.fail(f"{value} is not a share from 0 to 1.", param, ctx)
        return share


def _collector_url(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """http://HOST:PORT, https://HOST:PORT, or HOST:PORT for the former."""
    if value is None:
        return None
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname and parts.port)
    except ValueError:
        is_whole = False
    if not is_whole or parts.scheme not in ("http", "https"):
        raise click.BadParameter(f"{value!r} is not http://HOST:PORT or https://HOST:PORT", param=parameter)
    return url


def _log_file(_: click.Context, parameter: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix == ".parquet":
        raise click.BadParameter(f"{path}: JSON lines are written; convert them once they are", param=parameter)
    return path


_OPTIONS: dict[str, dict[str, Any]] = {
    "log_format": {
        "type": click.Choice(get_args(LogFormat)),
        "help": "What the server says on stderr: for people, or one JSON object a line.",
    },
    "log_level": {"type": click.Choice(get_args(LogLevel)), "help": "What is less important is not said."},
    "access_log": {
        "type": click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        "metavar": "FILE",
        "help": "Write a line of JSON for each call; - for stdout. A file that is renamed is opened anew.  "
        "[default: none]",
    },
    "access_log_sample": {
        "type": Share(),
        "help": "The share of calls in the access log; those that fail are always there.",
    },
    "request_log": {
        "type": click.Path(path_type=Path, dir_okay=False),
        "metavar": "FILE",
        "callback": _log_file,
        "help": "Write requests with their answers as JSON lines, ids included, for --warmup, `rankserve bench "
        "--replay` and `rankserve evaluate --log`.  [default: none]",
    },
    "request_log_sample": {"type": Share(), "help": "The share of calls in the request log."},
    "request_log_max_mib": {
        "type": click.IntRange(1),
        "help": "A request log that is larger is put aside as FILE.1, in place of the one before.",
    },
    "trace_to": {
        "metavar": "URL",
        "callback": _collector_url,
        "help": "Send spans to an OpenTelemetry collector that takes OTLP over gRPC, such as http://127.0.0.1:4317.  "
        "[default: OTEL_EXPORTER_OTLP_ENDPOINT, or no tracing]",
    },
    "trace_sample": {
        "type": Share(),
        "help": "The share of calls that are traced where the caller has not decided.  [default: OTEL_TRACES_SAMPLER, "
        "or 1]",
    },
    "warmup": {
        "type": click.Path(path_type=Path, dir_okay=False, exists=True),
        "metavar": "FILE",
        "help": "A request log. Every version answers what is in it, unheard, before it serves.  [default: none]",
    },
    "warmup_requests": {"type": click.IntRange(1), "help": "At most so many requests of --warmup."},
    "warmup_seconds": {"type": Seconds(), "help": "For at most so long."},
}


def observing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options to a command, which gets them as `observing`, an ObservingConfig."""

    @functools.wraps(command)
    def with_observing(**values: Any) -> None:
        observing = ObservingConfig(**{name: values.pop(name) for name in _OPTIONS})
        command(observing=observing, **values)

    defaults = asdict(ObservingConfig())
    for name, settings in reversed(_OPTIONS.items()):
        flag, default = f"--{name.replace('_', '-')}", defaults[name]
        with_observing = click.option(flag, default=default, show_default=default is not None, **settings)(
            with_observing
        )
    return with_observing
