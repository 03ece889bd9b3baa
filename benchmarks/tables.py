"""Tables in Markdown."""

import statistics
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are text already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, and the lowest and the highest of several rounds."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def verdict(value: float, target: float) -> str:
    """Whether a figure is at most its target."""
    return "met" if value <= target else "missed"
