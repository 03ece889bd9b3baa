"""The group `rankserve models`: its own commands, and those that other packages add."""

from importlib.metadata import EntryPoint, entry_points

import click

ENTRY_POINT_GROUP = "rankserve.models_commands"
SUMMARIES = {"verify": "Check a version on disk as a server would."}
"""One line for each command of our own other packages, so that listing them imports none of them."""


class ModelsGroup(click.Group):
    """A group that also has the entry points of `rankserve.models_commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Its own in their order, then the others."""
        return [*self.commands, *_added()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one that another package adds."""
        entry_point = _added().get(cmd_name)
        if entry_point is None:
            return super().get_command(ctx, cmd_name)
        ctx.find_root().obj = entry_point  # for the line that says which extra is missing
        command = entry_point.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"the entry point {entry_point.value} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Lists the commands without importing those of other packages."""
        rows = [(name, command.get_short_help_str(limit=100)) for name, command in self.commands.items()]
        rows += [(name, SUMMARIES.get(name, "")) for name in _added()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _added() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
