"""What the groups `rankserve` and `rankserve models` have in common: commands are prepared, and typos understood."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import EntryPoint

import click
from click.shell_completion import CompletionItem

from rankserve_client.cli.arguments import keep_arguments
from rankserve_client.cli.common_options import prepare
from rankserve_client.cli.suggestions import did_you_mean_command


def loaded(entry_point: EntryPoint) -> click.Command:
    """The command of an entry point, imported.

    Raises:
        ModuleNotFoundError: it needs an extra that is not installed.
        TypeError: it is no command.
    """
    command = entry_point.load()
    if not isinstance(command, click.Command):
        raise TypeError(f"the entry point {entry_point.value} is not a click command")
    return command


class CommandGroup(click.Group, ABC):
    """A group of commands of its own and of entry points, which are imported only when they are asked for."""

    path: tuple[str, ...] = ()
    """The group's own name behind `rankserve`."""

    @abstractmethod
    def entry_points(self) -> Mapping[str, EntryPoint]:
        """The commands that packages add, by name."""

    @abstractmethod
    def summaries(self) -> Mapping[str, str]:
        """One line for each command, so that listing them imports none."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names of its own in their order, then of the others."""
        return [*self.commands, *self.entry_points()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Finds a command, by importing it where a package adds it."""
        entry_point = self.entry_points().get(cmd_name)
        command = self.commands.get(cmd_name)
        if entry_point is not None:
            ctx.find_root().obj = entry_point  # for the line that says which extra is missing
            try:
                command = loaded(entry_point)
            except ModuleNotFoundError:
                if ctx.resilient_parsing:  # a shell completes, and has no use for what is missing
                    return None
                raise
        return None if command is None else prepare(command, (*self.path, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command of a command line, or says which one may have been meant."""
        if not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            hint = did_you_mean_command(args[0], self.list_commands(ctx))
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        keep_arguments(ctx, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing those of other packages."""
        rows = [(name, self.summaries().get(name, "")) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes the name of a command without importing any."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=self.summaries().get(name)) for name in names]
        return found + click.Command.shell_complete(self, ctx, incomplete)
