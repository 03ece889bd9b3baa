"""`rankserve doctor`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import EntryPoint
from typing import Any, TypeAlias, cast

import click
from click.core import ParameterSource

from rankserve_client.cli import config_file, output
from rankserve_client.cli.connection import server_options
from rankserve_client.cli.doctor.findings import Announce, Finding, findings_of, packages
from rankserve_client.cli.doctor.serve_settings import serve_settings

_Look: TypeAlias = Callable[[Announce], Iterator[Finding]]

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}

_EPILOG = """\b
Examples:
  rankserve doctor
  rankserve doctor --server ranking.example.com:50051 --tls --token-file shop.token
  rankserve doctor --config rankserve.toml --json

What 'rankserve serve' would be started with is looked at too: its variables (RANKSERVE_SERVE_...) and the table [serve]
of the config file count. The newest version of each model is loaded, of the others the files are checked. The exit code
is 1 where something failed.

\b
--json prints one object: {ok, findings: [{section, check, status, found, advice}]},
  section  installation, machine, serve (its settings), reached (the server), or a
           package: server, training
  status   ok, warn, fail, skip"""


@click.command(epilog=_EPILOG)
@click.option(
    "--models-dir",
    metavar="DIR|URL",
    help="The models directory, or the store, to look at.  [default: that of 'rankserve serve']",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its keys are below.")
@server_options
@click.pass_context
def doctor(
    context: click.Context, models_dir: str | None, as_json: bool, servers: tuple[str, ...], timeout: float
) -> None:
    """Look at what is installed, reachable and loadable, and say what to do about what is not."""
    named = context.get_parameter_source("servers") is not ParameterSource.DEFAULT
    found: list[tuple[str, Finding]] = []
    with _progress() as announce:
        for section, look in _sections(_serve_arguments(context, models_dir), servers, timeout, named):
            announce(section)
            found += [(section, finding) for finding in look(announce)]
    failed = [finding for _, finding in found if finding.status == "fail"]
    if as_json:
        findings = [{"section": section} | asdict(finding) for section, finding in found]
        output.print_json({"ok": not failed, "findings": findings})
    else:
        _print_table(found)
    if failed:
        context.exit(1)


def _sections(
    serve_arguments: list[str], servers: tuple[str, ...], timeout: float, named: bool
) -> Iterator[tuple[str, _Look]]:
    # Only now: packaging is needed by nothing else.
    from rankserve_client.cli.doctor.installation import installation, machine
    from rankserve_client.cli.doctor.reached_server import reached_server

    yield "installation", lambda _: installation()
    yield "machine", lambda _: machine()
    settings = serve_settings(serve_arguments)
    yield "serve", lambda _: iter([settings.finding])
    for point in packages():
        if settings.finding.status == "ok":
            yield point.name, _looking(point, settings.values, settings.given)
    yield "reached", lambda _: reached_server(servers, timeout, named=named)


def _looking(
    point: EntryPoint, values: dict[str, Any], given: frozenset[str]
) -> Callable[[Announce], Iterator[Finding]]:
    def look(announce: Announce) -> Iterator[Finding]:
        for fields in findings_of(point, values, given, announce):
            yield Finding(**cast("dict[str, Any]", fields))  # packages give the status as a plain string

    return look


def _serve_arguments(context: click.Context, models_dir: str | None) -> list[str]:
    file = config_file.used(context)
    return [
        *(["--config", file] if file else []),
        *(["--models-dir", models_dir] if models_dir else []),
    ]


@contextmanager
def _progress() -> Iterator[Announce]:
    """Shows on a terminal what is being looked at."""
    console = output.progress_console()
    if not output.moves(console):
        yield lambda _: None
        return
    with console.status("") as status:
        yield lambda what: status.update(output.cell(what))


def _print_table(found: list[tuple[str, Finding]]) -> None:
    console = output.console()
    table = output.table("", "check", "found")
    last = found[0][0]
    for section, finding in found:
        if section != last:
            table.add_row()
        last = section
        status = output.cell(finding.status, style=_STYLES[finding.status])
        table.add_row(status, output.cell(finding.check), output.cell(finding.found))
        if finding.advice:
            table.add_row("", "", output.cell(f"> {finding.advice}", style="bold"))
    console.print(table)
    counts = [f"{sum(finding.status == status for _, finding in found)} {status}" for status in _STYLES]
    console.print(", ".join(counts))
