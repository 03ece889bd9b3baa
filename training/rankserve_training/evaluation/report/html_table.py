"""HTML tables."""

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already; any other text is escaped."""

    __slots__ = ()


def html_table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]], css_class: str = "") -> Markup:
    """A table that can be scrolled sideways where the screen is narrow.

    Args:
        caption: what it shows; also its name for screen readers.
        headers: of the columns.
        rows: cells as text or `Markup`; the first of each row is its header.
        css_class: of the table.
    """
    head = "".join(f'<th scope="col">{as_html(header)}</th>' for header in headers)
    body = "\n".join(
        f'<tr><th scope="row">{as_html(first)}</th>' + "".join(f"<td>{as_html(cell)}</td>" for cell in cells) + "</tr>"
        for first, *cells in rows
    )
    attribute = f' class="{escape(css_class)}"' if css_class else ""
    return Markup(
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">\n'
        f"<table{attribute}>\n<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def as_html(text: str) -> str:
    """Text escaped, unless it is `Markup`."""
    return text if isinstance(text, Markup) else escape(text)
