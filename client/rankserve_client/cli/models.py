"""`rankserve models`."""

import dataclasses
from typing import Any

import click

from rankserve_client.cli import output
from rankserve_client.cli.connection import connect, server_options
from rankserve_client.model_info import Abilities, ModelInfo

_EPILOG = """\b
Examples:
  rankserve models
  rankserve models --server 10.0.0.5:50051 --json | jq '.models[0].metrics'

\b
--json prints one object: {models: [...]}, by name, newest version first, each with
  name, version, state (loading, ready, failed), state_message, is_default, aliases,
  created (ISO 8601, UTC), preset, dataset {name, fingerprint, rating_count},
  user_count, item_count, rating_min, rating_max, metrics, library_versions,
  abilities {history, user_features, new_items, choice}: what it can use of a request"""

_STATE_STYLES = {"ready": "green", "loading": "yellow", "failed": "red"}


@click.command(epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its keys are below.")
@server_options
def models(as_json: bool, servers: tuple[str, ...], timeout: float) -> None:
    """List the models of a server: their state, size, metrics and origin."""
    with connect(servers, timeout) as client:
        infos = client.models()
    if as_json:
        output.print_json({"models": [to_json(info) for info in infos]})
    else:
        _print_table(infos)


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
    }


def _print_table(infos: list[ModelInfo]) -> None:
    console = output.console()
    if not infos:
        console.print("the server has no models; publish one with: rankserve train")
        return
    table = output.table(
        *("name", "version", "state", "default", "users", "items", "metrics", "abilities", "trained", "dataset"),
        numeric=("version", "users", "items"),
    )
    for info in infos:
        table.add_row(
            output.cell(", ".join([info.name, *(f"@{alias}" for alias in info.aliases)])),
            str(info.version),
            output.cell(info.state, style=_STATE_STYLES.get(info.state, "")),
            "yes" if info.is_default else "",
            f"{info.user_count:,}",
            f"{info.item_count:,}",
            output.several([f"{name} {value:.4g}" for name, value in info.metrics.items()], console),
            output.several(_abilities(info.abilities), console),
            f"{info.created:%Y-%m-%d %H:%M} UTC" if info.created else "",
            output.cell(info.dataset.name if info.dataset else ""),
        )
    console.print(table)
    for info in infos:
        if info.state_message:
            note = f"{info.name} version {info.version} is {info.state}: {info.state_message}"
            console.print(output.cell(note, style=_STATE_STYLES.get(info.state, "")), soft_wrap=True)


def _abilities(abilities: Abilities) -> list[str]:
    """What the model can do beyond the user and the candidates of a request, in a few words."""
    can = {
        "history": abilities.history,
        f"features ({', '.join(abilities.user_features)})": abilities.user_features,
        "new items": abilities.new_items,
        "choice": abilities.choice,
    }
    return [text for text, able in can.items() if able]
