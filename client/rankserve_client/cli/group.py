"""The command group: lists the subcommands without importing them and runs one of them."""

from typing import Any

import click

from rankserve_client.cli.commands import SUMMARIES, find_commands
from rankserve_client.cli.failures import one_line_failures
from rankserve_client.version import __version__

_EPILOG = """\b
Example:
  rankserve train
  rankserve serve
  rankserve rank --user 42 204 141 131

'rankserve COMMAND --help' describes a command."""


class LazyGroup(click.Group):
    """A group whose subcommands are entry points."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names of the installed subcommands."""
        return list(find_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a subcommand."""
        entry_point = find_commands().get(cmd_name)
        if entry_point is None:
            return None
        ctx.obj = entry_point
        command = entry_point.load()
        if not isinstance(command, click.Command):
            raise TypeError(f"the entry point {entry_point.value} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the subcommands without importing them."""
        rows = [(name, SUMMARIES.get(name, "")) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a subcommand; an expected failure becomes one line."""
        with one_line_failures(lambda: ctx.obj):
            return super().invoke(ctx)


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rankserve", message="%(prog)s %(version)s")
def main() -> None:
    """Train a ranking model, serve it over gRPC and rank with it."""
