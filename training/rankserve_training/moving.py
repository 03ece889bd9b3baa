"""Where bars and spinners may be shown."""

from rich.console import Console


def moves(console: Console) -> bool:
    """Whether what changes in place may be shown there: not in a pipe, whatever FORCE_COLOR says of colours."""
    return console.is_interactive and console.file.isatty()
