"""The pictures of a report, as inline SVG."""

import io
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rankserve_training.data import RatingScale
from rankserve_training.evaluation.calibration import Calibration
from rankserve_training.evaluation.cold_start import ColdStartCurve
from rankserve_training.evaluation.rating_accuracy import ActivityBin
from rankserve_training.evaluation.report.html_table import Markup
from rankserve_training.evaluation.result import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches; so narrow that the text can be read on a phone.
_SIZE = (4.8, 3.4)
_TALL = (4.8, 4.2)
_BLUE, _ORANGE, _GREY, _GREEN, _PURPLE = "#1f6fb4", "#b85a08", "#555555", "#2e7d32", "#7b3fa0"
# Told apart without colours as well: on paper, and by who does not see them.
_LINES = ((_BLUE, "o-"), (_ORANGE, "s--"), (_GREY, "^:"), (_GREEN, "D-."), (_PURPLE, "v-"))
_MARKER_SIZE = 4.5
_MOST_MARKERS = 25
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "rankserve",  # equal pictures have equal bytes
    "text.parse_math": False,  # a $ in the name of a model is a dollar
}


@rc_context(_STYLE)
def learning_curve_figure(epochs: Sequence[Epoch]) -> Figure:
    """Training and validation RMSE by epoch."""
    figure, axes = _figure_of_errors("epoch")
    for (name, label), (colour, line) in zip(
        (("train_rmse", "training"), ("validation_rmse", "validation")), _LINES, strict=False
    ):
        points = [(epoch.number, value) for epoch in epochs if (value := getattr(epoch, name)) is not None]
        if points:
            sparse = -(-len(points) // _MOST_MARKERS)
            drawn = axes.plot(*zip(*points, strict=True), line, color=colour, label=label, markersize=_MARKER_SIZE)
            drawn[0].set_markevery(sparse)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)
    return figure


@rc_context(_STYLE)
def calibration_figure(calibration: Calibration, scale: RatingScale) -> Figure:
    """Mean given against mean predicted rating, over the number of rows in each bin."""
    figure = Figure(figsize=_TALL, layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    axes = figure.add_subplot(grid[0])
    counts = figure.add_subplot(grid[1], sharex=axes)
    ends, margin = (scale.minimum, scale.maximum), scale.span * 0.03
    bins = calibration.bins
    predicted = [part.predicted for part in bins]
    axes.plot(ends, ends, "--", color=_GREY, linewidth=1, label="right on average")
    axes.errorbar(
        predicted,
        [part.given for part in bins],
        yerr=[1.96 * (part.standard_error or 0) for part in bins],
        fmt="o-",
        color=_BLUE,
        markersize=_MARKER_SIZE,
        capsize=2,
        linewidth=1.2,
        label="model, with 95 % intervals",
    )
    axes.set_ylabel("mean given rating")
    axes.set_xlim(ends[0] - margin, ends[1] + margin)
    axes.set_ylim(ends[0] - margin, ends[1] + margin)
    axes.tick_params(labelbottom=False)
    counts.bar(predicted, [part.rows for part in bins], width=scale.span / 22, color=_BLUE)
    counts.set_xlabel("mean predicted rating")
    counts.set_ylabel("ratings")
    counts.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    counts.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(frameon=False, loc="upper left")
    for part in (axes, counts):
        _tidy(part)
    return figure


@rc_context(_STYLE)
def activity_figure(users: Sequence[ActivityBin], items: Sequence[ActivityBin]) -> Figure:
    """RMSE by the number of training ratings of the user and of the item."""
    labels = {part.lowest: part.label for part in sorted((*users, *items), key=lambda part: part.lowest)}
    places = {lowest: place for place, lowest in enumerate(labels)}
    figure, axes = _figure_of_errors("training ratings")
    for bins, label, (colour, line) in ((users, "of the user", _LINES[0]), (items, "of the item", _LINES[1])):
        if bins:
            errors = [part.accuracy.rmse for part in bins]
            at = [places[part.lowest] for part in bins]
            axes.plot(at, errors, line, color=colour, label=label, markersize=_MARKER_SIZE)
    axes.set_xticks(range(len(labels)), list(labels.values()))
    _legend(axes)
    return figure


@rc_context(_STYLE)
def cold_start_figure(curves: Sequence[ColdStartCurve]) -> Figure:
    """RMSE against the number of ratings revealed of a new user."""
    figure, axes = _figure_of_errors("ratings revealed of a new user")
    revealed = sorted({point.revealed for curve in curves for point in curve.points})
    for number, curve in enumerate(curves):
        colour, line = _LINES[number % len(_LINES)]
        # Evenly spaced: the first few ratings matter most and would be crowded otherwise.
        at = [revealed.index(point.revealed) for point in curve.points]
        errors = [point.accuracy.rmse for point in curve.points]
        (drawn,) = axes.plot(at, errors, line, color=colour, markersize=_MARKER_SIZE)
        drawn.set_label(curve.name)
    axes.set_xticks(range(len(revealed)), [f"{count}" for count in revealed])
    _legend(axes)
    return figure


@rc_context(_STYLE)
def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element.

    Args:
        figure: the picture.
        name: letters; sets its ids apart from those of the other pictures on the page.
        description: what it shows, for who does not see it.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = file.getvalue()
    head, rest = svg[svg.index("<svg") :].strip().split(">", 1)
    # The page sets the width, and the view box keeps the proportions.
    head = re.sub(r' (?:width|height|version|xmlns(?::\w+)?)="[^"]*"', "", head)
    # Only tags have attributes to change; in text, < and > are escaped.
    rest = re.sub(r"<[^>]*>", lambda tag: _with_own_ids(tag[0], name), rest)
    return Markup(f'{head} role="img" aria-label="{escape(description)}">{rest}')


def _with_own_ids(tag: str, name: str) -> str:
    tag = re.sub(r' id="', f' id="{name}-', tag)
    return re.sub(r' (?:xlink:)?href="#', f' href="#{name}-', tag).replace("url(#", f"url(#{name}-")


def _figure_of_errors(x_label: str) -> tuple[Figure, "Axes"]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x_label)
    axes.set_ylabel("RMSE")
    _tidy(axes)
    return figure, axes


def _legend(axes: "Axes") -> None:
    """All lines with their labels: left to itself, matplotlib hides names that begin with _."""
    axes.legend(axes.lines, [str(line.get_label()) for line in axes.lines], frameon=False)


def _tidy(axes: "Axes") -> None:
    axes.grid(visible=True, color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
