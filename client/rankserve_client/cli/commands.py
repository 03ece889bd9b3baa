"""The subcommands: found among the installed packages' entry points, imported only when they run."""

from importlib.metadata import EntryPoint, entry_points

ENTRY_POINT_GROUP = "rankserve.commands"

SUMMARIES = {
    "train": "Train a model on ratings and publish it.",
    "evaluate": "Measure a published model on ratings.",
    "publish": "Publish a Keras model of your own.",
    "serve": "Serve published models over gRPC.",
    "token": "Make a token for a caller.",
    "gateway": "Answer JSON over HTTP for a server, with a playground.",
    "rank": "Rank items for a user.",
    "score": "Rank items for all users, into Parquet files.",
    "models": "List the models of a server.",
    "bench": "Put load on a server and measure it.",
    "doctor": "Find out what is wrong, and what to do.",
    "completion": "Complete commands in bash, zsh or fish.",
}
"""One line for each of our own commands, in the order of their use, so that listing them imports none of them."""

# By the package that a command's module lies in; the first that fits.
_EXTRAS = {
    "rankserve_client.bench": "bench",
    "rankserve_client.gateway": "gateway",
    "rankserve_server.scoring": "score",
    "rankserve_server": "server",
    "rankserve_training": "training",
}


def find_commands() -> dict[str, EntryPoint]:
    """The entry points of the installed subcommands by name: ours in the order of `SUMMARIES`, then others."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    names = [name for name in SUMMARIES if name in found] + sorted(found.keys() - SUMMARIES.keys())
    return {name: found[name] for name in names}


def extra_of(command: EntryPoint) -> str | None:
    """The extra of the distribution that brings what a command needs; None for one that needs none."""
    return next((extra for package, extra in _EXTRAS.items() if f"{command.module}.".startswith(f"{package}.")), None)
