"""`rankserve models`."""

import dataclasses
from typing import Any

import click
from click.core import ParameterSource

from rankserve_client.cli import changes, output
from rankserve_client.cli.connection import connect, server_options
from rankserve_client.cli.models_group import ModelsGroup
from rankserve_client.model_info import Abilities, ModelInfo, ShadowReport

_EPILOG = """\b
Examples:
  rankserve models
  rankserve models --server 10.0.0.5:50051 --json | jq '.models[0].metrics'
  rankserve models canary 7 --percent 5
  rankserve models promote 7
  rankserve models rollback

\b
--json prints one object: {models: [...]}, by name, newest version first, each with
  name, version, state (loading, ready, failed), state_message, is_default, aliases,
  created (ISO 8601, UTC), preset, dataset {name, fingerprint, rating_count},
  user_count, item_count, rating_min, rating_max, metrics, library_versions,
  abilities {history, user_features, new_items, choice, baseline}: what it can use of a request,
  is_current, is_pinned, canary_percent, shadow_percent,
  shadow_report {compared, left_out, failed, overlap_at_10, kendall_tau,
  score_difference, absolute_score_difference}, null where it never was a shadow"""

_STATE_STYLES = {"ready": "green", "loading": "yellow", "failed": "red"}


@click.group(cls=ModelsGroup, invoke_without_command=True, epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its keys are below.")
@server_options
@click.pass_context
def models(context: click.Context, as_json: bool, servers: tuple[str, ...], timeout: float) -> None:
    """List the models of a server, or change which of their versions answer.

    Without a command: their state, size, metrics and origin. What is changed holds for every server on the same models
    directory, also after a restart.
    """
    if context.invoked_subcommand is not None:
        _check_no_options(context)
        return
    with connect(servers, timeout) as client:
        infos = client.models()
    if as_json:
        output.print_json({"models": [to_json(info) for info in infos]})
    else:
        _print_table(infos)


for command in changes.COMMANDS:
    models.add_command(command)


def _check_no_options(context: click.Context) -> None:
    """Options before a command would be the list's, and silently of no use."""
    for parameter in context.command.params:
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"Give {parameter.opts[0]} after {context.invoked_subcommand}.")


def to_json(info: ModelInfo) -> dict[str, Any]:
    """One element of what `--json` prints."""
    dataset = info.dataset
    return {
        "name": info.name,
        "version": info.version,
        "state": info.state,
        "state_message": info.state_message,
        "is_default": info.is_default,
        "aliases": list(info.aliases),
        "created": info.created.isoformat() if info.created else None,
        "preset": info.preset,
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint, "rating_count": dataset.rating_count}
        if dataset
        else None,
        "user_count": info.user_count,
        "item_count": info.item_count,
        "rating_min": output.shortest(info.rating_min),
        "rating_max": output.shortest(info.rating_max),
        "metrics": dict(info.metrics),
        "library_versions": dict(info.library_versions),
        "abilities": dataclasses.asdict(info.abilities),
        "is_current": info.is_current,
        "is_pinned": info.is_pinned,
        "canary_percent": info.canary_percent,
        "shadow_percent": info.shadow_percent,
        "shadow_report": dataclasses.asdict(info.shadow_report) if info.shadow_report else None,
    }


def _print_table(infos: list[ModelInfo]) -> None:
    console = output.console()
    if not infos:
        console.print("the server has no models; publish one with: rankserve train")
        return
    table = output.table(
        *("name", "version", "state", "role", "users", "items", "metrics", "abilities", "trained", "dataset"),
        numeric=("version", "users", "items"),
    )
    for info in infos:
        table.add_row(
            output.cell(info.name),
            str(info.version),
            output.cell(info.state, style=_STATE_STYLES.get(info.state, "")),
            output.several(_roles(info), console),
            f"{info.user_count:,}",
            f"{info.item_count:,}",
            output.several([f"{name} {value:.4g}" for name, value in info.metrics.items()], console),
            output.several(_abilities(info.abilities), console),
            f"{info.created:%Y-%m-%d %H:%M} UTC" if info.created else "",
            output.cell(info.dataset.name if info.dataset else ""),
        )
    console.print(table)
    for info in infos:
        if info.shadow_report:
            console.print(output.cell(_in_the_shadow(info, info.shadow_report)), soft_wrap=True)
        if info.state_message:
            note = f"{info.name} version {info.version} is {info.state}: {info.state_message}"
            console.print(output.cell(note, style=_STATE_STYLES.get(info.state, "")), soft_wrap=True)


def _roles(info: ModelInfo) -> list[str]:
    """What the version is there for, in a few words."""
    current = f"{'default' if info.is_default else 'current'}{' (pinned)' if info.is_pinned else ''}"
    shares = {"canary": info.canary_percent, "shadow": info.shadow_percent}
    return [
        *([current] if info.is_current or info.is_default else []),
        *(f"{role} {percent:g} %" for role, percent in shares.items() if percent),
        *(f"@{alias}" for alias in info.aliases),
    ]


def _in_the_shadow(info: ModelInfo, report: ShadowReport) -> str:
    return (
        f"{info.name} version {info.version} in the shadow of {report.compared:,} requests: "
        f"overlap@10 {report.overlap_at_10:.3f}, Kendall's tau {report.kendall_tau:.3f}, "
        f"scores {report.score_difference:+.3f} (absolute {report.absolute_score_difference:.3f}); "
        f"{report.left_out:,} left out, {report.failed:,} failed"
    )


def _abilities(abilities: Abilities) -> list[str]:
    """What the model can do beyond the user and the candidates of a request, in a few words."""
    can = {
        "history": abilities.history,
        f"features ({', '.join(abilities.user_features)})": abilities.user_features,
        "new items": abilities.new_items,
        "choice": abilities.choice,
        "baseline": abilities.baseline,
    }
    return [text for text, able in can.items() if able]
