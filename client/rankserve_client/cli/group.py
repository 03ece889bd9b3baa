"""The command group: lists the subcommands without importing them and runs one of them."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import click

from rankserve_client.cli.command_group import CommandGroup
from rankserve_client.cli.commands import SUMMARIES, find_commands
from rankserve_client.cli.failures import one_line_failures
from rankserve_client.cli.wrong_values import wrong_values_explained
from rankserve_client.version import __version__

_EPILOG = """\b
Example:
  rankserve train
  rankserve serve
  rankserve rank --user 42 204 141 131

'rankserve COMMAND --help' describes a command.

Every option can also be set by an environment variable, --port of serve by RANKSERVE_SERVE_PORT, or in a file that
--config or RANKSERVE_CONFIG names. The command line counts first, then the environment, then the file. --print-config
shows what comes from where."""


class LazyGroup(CommandGroup):
    """A group whose subcommands are entry points."""

    def entry_points(self) -> Mapping[str, EntryPoint]:
        """The installed subcommands, by name."""
        return find_commands()

    def summaries(self) -> Mapping[str, str]:
        """One line for each of our own."""
        return SUMMARIES

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the options before the command; those of the command itself do not belong there."""
        command = next((arg for arg in args if arg in find_commands()), None)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if command is None:
                raise
            after = f"rankserve {command} {error.option_name}"
            raise click.UsageError(
                f"No such option: {error.option_name}. The options of a command follow its name: {after}", ctx
            ) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a subcommand; an expected failure becomes one line."""
        with one_line_failures(lambda: ctx.obj), wrong_values_explained():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rankserve", message="%(prog)s %(version)s")
def main() -> None:
    """Train a ranking model, serve it over gRPC and rank with it."""
