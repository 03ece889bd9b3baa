"""`rankserve bench`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from rankserve_client.bench.plan import Plan
from rankserve_client.bench.workload import CandidateMix, IdRange, parse_candidates, parse_ids
from rankserve_client.cli.completing import model_names, model_versions
from rankserve_client.cli.connection import connect, security_of_options, server_options
from rankserve_client.model_info import ModelInfo

if TYPE_CHECKING:
    from rankserve_client.bench.request_log import LogSummary
    from rankserve_client.bench.result import Result

_Value = TypeVar("_Value")

_MADE_UP = ("candidates", "users", "items", "top_k")
_DEFAULT_CONCURRENCY = 16
_DEFAULT_DURATION = 10.0

_EPILOG = """\b
Examples:
  rankserve bench --server 10.0.0.5:50051
  rankserve bench --rate 2000 --candidates 500 --duration 60 --plot latency.png
  rankserve bench --replay requests.jsonl --speed 2
  rankserve bench --candidates 100:90,2000:10 --processes 4 --connections 16 --json bench.json

A closed loop (--concurrency) finds how much the server can do: each caller sends its next request when its last one
has been answered, 10 ms later after a failure. An open loop (--rate) finds how long callers wait under a given load:
requests are due at random times (Poisson), and latency counts from when a request was due, so that a stall of the
server is seen by every request that it delays.

With --replay the requests of a request log (rankserve serve --request-log) are sent: when they were made then, --speed
times as fast, or with --rate or --concurrency in their order. Each is sent once, unless --duration or --requests says
otherwise; of what each asks for, its answer is checked for its items and scores.

Every answer is checked: the number of items, that they are candidates of the request, none twice, that the scores are
finite and falling, and the model if one was asked for. The exit code is 1 where an answer was wrong or where nothing
was answered.

\b
--json writes one object:
  server, seconds (measured, without the warm-up)
  model        {name, version} that was asked for
  answered_by  [{name, version, answers}]
  settings     {loop (open, closed), concurrency, rate, candidates, top_k, duration,
               requests, warm_up, connections, processes, max_outstanding, timeout,
               users [low, high], items [low, high], seed, replay, speed}
  counts       {sent, answered, failed, failures {status: count}, wrong,
               wrong_kinds {unreadable, model, count, items, scores, not_finite, order},
               not_sent, not_sent_reasons {outstanding, late}, with_unknown_ids}
  rates        {asked, sent, requests, candidates}, per second; the last two of answers
  latency_ms   {min, p50, p90, p99, p99_9, max, mean} of answered requests, or null
  generator    {bottleneck, reasons, cpu_shares (of a core, by process),
               lateness_ms (open loop: from due to sent; as latency_ms)}
  over_time    [{seconds, requests_per_second, p50_ms, p99_ms}], in equal steps"""


def _reads(parse: Callable[[str], _Value]) -> Callable[[click.Context, click.Parameter, str | None], _Value | None]:
    """The callback of an option that a function reads; its ValueError says what is wrong."""

    def read(_: click.Context, parameter: click.Parameter, text: str | None) -> _Value | None:
        try:
            return None if text is None else parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), param=parameter) from error

    return read


def _writable(_: click.Context, parameter: click.Parameter, file: Path | None) -> Path | None:
    """Refuses a file that could not be written, before the run rather than after it."""
    if file is not None and not file.absolute().parent.is_dir():
        raise click.BadParameter(f"there is no directory {file.absolute().parent}", param=parameter)
    return file


_POSITIVE = click.FloatRange(min=0, min_open=True)
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.command(epilog=_EPILOG)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    metavar="C",
    help=f"Closed loop: requests under way at any time.  [default: {_DEFAULT_CONCURRENCY}, without --rate]",
)
@click.option("--rate", type=_POSITIVE, metavar="R", help="Open loop: requests per second.")
@click.option(
    "--candidates",
    callback=_reads(parse_candidates),
    default="100",
    show_default=True,
    metavar="MIX",
    help="Candidates of a request: N, LOW-HIGH (evenly), or several with weights: 100:90,500-2000:10.",
)
@click.option("--duration", type=_POSITIVE, metavar="SECONDS", help=f"[default: {_DEFAULT_DURATION:g}, or --requests]")
@click.option("--requests", type=click.IntRange(min=1), metavar="N", help="End after so many requests.")
@click.option(
    "--warm-up",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="The same load beforehand, not counted.",
)
@click.option(
    "--connections", type=click.IntRange(min=1), metavar="K", help="Of all processes.  [default: one of each process]"
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="P",
    help="Processes of the generator, which share the load.",
)
@click.option(
    "--max-outstanding",
    type=click.IntRange(min=1),
    default=1_000,
    show_default=True,
    metavar="N",
    help="Open loop: while so many requests are under way, what is due is not sent, but counted.",
)
@click.option(
    "--users",
    callback=_reads(parse_ids),
    metavar="LOW-HIGH",
    help="User ids.  [default: 1 to the model's number of users]",
)
@click.option(
    "--items",
    callback=_reads(parse_ids),
    metavar="LOW-HIGH",
    help="Item ids.  [default: 1 to the model's number of items]",
)
@click.option("--top-k", type=click.IntRange(min=1), metavar="K", help="Ask for the best K only.  [default: all]")
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Send the requests of this request log instead of random ones.",
)
@click.option(
    "--speed", type=_POSITIVE, metavar="X", help="With --replay: so many times as fast as recorded.  [default: 1]"
)
@click.option("--model", metavar="NAME", shell_complete=model_names, help="Default: the server's default model.")
@click.option(
    "--version",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=model_versions,
    help="Default: the model's current version.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Of the requests and of the times of --rate.")
@click.option(
    "--json", "json_file", type=_FILE, callback=_writable, metavar="FILE", help="Also write one object; keys below."
)
@click.option("--plot", "plot_file", type=_FILE, callback=_writable, metavar="FILE.png", help="Also draw the run.")
@server_options
def bench(json_file: Path | None, plot_file: Path | None, **options: Any) -> None:
    """Put load on a server and measure its throughput and latency.

    Requests are of random users with random candidates. The server lists no ids: by default they are taken to be 1 to
    the number of users and items that the model knows; give --users and --items where they are not.
    """
    # The libraries of the extra are imported only here: --help goes without them.
    from rankserve_client.bench import processes, progress
    from rankserve_client.bench.report import print_report
    from rankserve_client.bench.result import Result

    if plot_file is not None:
        from rankserve_client.bench import plot

        plot.check_available()
    _check_together(options)
    log = _log_of(options)
    with connect(options["servers"], options["timeout"]) as client:
        model = client.model(options["model"], version=options["version"])
    plan = _plan(options, model, log)
    if log is not None and log.bad_lines:
        click.echo(f"{log.bad_lines:,} lines of {plan.replay} are no requests; they are left out", err=True)
    with progress.shown(plan) as show:
        counts = processes.run(plan, show)
    result = Result(plan, counts, ", ".join(plan.servers), model.name, model.version)
    print_report(result)
    _write_files(result, json_file, plot_file)
    _exit_code(result)


def _check_together(options: dict[str, Any]) -> None:
    """Refuses options that exclude each other, and shares of nothing."""
    if options["replay"] is None and options["speed"] is not None:
        raise click.UsageError("--speed goes with --replay.")
    if options["speed"] is not None and (options["rate"] is not None or options["concurrency"] is not None):
        raise click.UsageError("--speed keeps the recorded times: it excludes --rate and --concurrency.")
    source = click.get_current_context().get_parameter_source
    for name in _MADE_UP:
        if options["replay"] is not None and source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} is for random requests: it excludes --replay.")
    if options["rate"] is not None and options["concurrency"] is not None:
        raise click.UsageError("--rate (open loop) and --concurrency (closed loop) exclude each other.")
    for name in ("concurrency", "requests", "connections", "max_outstanding"):
        if options[name] is not None and options[name] < options["processes"]:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} is shared by the processes: it cannot be below --processes.")


def _log_of(options: dict[str, Any]) -> "LogSummary | None":
    from rankserve_client.bench.request_log import summary

    try:
        return None if options["replay"] is None else summary(options["replay"])
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _plan(options: dict[str, Any], model: ModelInfo, log: "LogSummary | None") -> Plan:
    """The options with what depends on other options, on the model or on the request log filled in."""
    given = {name: value for name, value in options.items() if value is not None}
    if log is not None:
        given |= {"users": log.users, "items": log.items}
        given["candidates"] = CandidateMix((log.candidates,), (1.0,), _logged_text(log.candidates))
        if log.requests < given["processes"]:
            raise click.UsageError(f"--replay: its {log.requests:,} requests are too few for --processes.")
        if "duration" not in given:
            given.setdefault("requests", log.requests)
        if "rate" not in given and "concurrency" not in given:
            given.setdefault("speed", 1.0)
    if "rate" not in given and "speed" not in given:
        given.setdefault("concurrency", max(_DEFAULT_CONCURRENCY, given["processes"]))
    if "requests" not in given:
        given.setdefault("duration", _DEFAULT_DURATION)
    given.setdefault("connections", given["processes"])
    given["security"] = security_of_options()
    for name, count in (("users", model.user_count), ("items", model.item_count)):
        if name not in given:
            given[name] = _ids_of(f"--{name}", model, count)
    if log is None:
        _check_items(given["items"], given["candidates"])
    return Plan(**{"concurrency": None, "rate": None, "duration": None, "requests": None} | given)


def _ids_of(option: str, model: ModelInfo, count: int) -> IdRange:
    if count < 1:
        raise click.UsageError(f"the server does not say how many ids {model.name} knows: give {option}.")
    return IdRange(1, count)


def _check_items(items: IdRange, candidates: CandidateMix) -> None:
    if candidates.largest > len(items):
        raise click.UsageError(
            f"--candidates: {candidates.largest:,} distinct candidates cannot be chosen from the {len(items):,} items "
            f"{items}; see --items."
        )


def _write_files(result: "Result", json_file: Path | None, plot_file: Path | None) -> None:
    import json

    from rankserve_client.bench.plot import draw
    from rankserve_client.bench.result import to_json

    if json_file is not None:
        json_file.write_text(json.dumps(to_json(result), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if plot_file is not None:
        draw(result, plot_file)


def _exit_code(result: "Result") -> None:
    """Fails the command where the server gave wrong answers, or none."""
    counts = result.counts
    if wrong := counts.wrong.total():
        raise click.ClickException(f"{wrong:,} of {counts.answered:,} answers were wrong")
    if not counts.answered:
        raise click.ClickException(f"none of {counts.sent:,} requests was answered")


def _logged_text(candidates: IdRange) -> str:
    return f"{candidates.low if candidates.low == candidates.high else candidates} logged"
