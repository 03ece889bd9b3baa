"""The group `rankserve models`: its own commands, and those that other packages add."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from rankserve_client.cli.command_group import CommandGroup

ENTRY_POINT_GROUP = "rankserve.models_commands"
SUMMARIES = {"verify": "Check a version on disk as a server would."}
"""One line for each command of our own other packages, so that listing them imports none of them."""


class ModelsGroup(CommandGroup):
    """A group that also has the entry points of `rankserve.models_commands`."""

    path = ("models",)

    def entry_points(self) -> Mapping[str, EntryPoint]:
        """Those of the group, by name."""
        return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}

    def summaries(self) -> Mapping[str, str]:
        """One line for each command."""
        own = {name: command.get_short_help_str(limit=100) for name, command in self.commands.items()}
        return own | SUMMARIES
