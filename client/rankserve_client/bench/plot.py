"""A run as a picture: latency by percentile, and throughput and latency over time."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_client.bench.report import headline
from rankserve_client.bench.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TICKS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
_BLUE, _ORANGE, _GREY = "#1f6fb4", "#d1690e", "#555555"


def check_available() -> None:
    """Raises ModuleNotFoundError where there is no matplotlib: before the run, not after it."""
    import_module("matplotlib.figure")


def draw(result: Result, file: Path) -> None:
    """Writes the picture as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8.5), layout="constrained")
    grid = figure.add_gridspec(3, 1, height_ratios=(1.5, 1, 1))
    by_percentile, throughput, latency = (figure.add_subplot(grid[row]) for row in range(3))
    latency.sharex(throughput)
    throughput.set_xlim(0, result.seconds)
    figure.suptitle(headline(result).replace("; ", "\n", 1), fontsize=11)
    _draw_percentiles(by_percentile, result)
    _draw_throughput(throughput, result)
    _draw_latency(latency, result)
    for axes in (by_percentile, throughput, latency):
        axes.grid(visible=True, color="#dddddd", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, format="png", dpi=120)


def _draw_percentiles(axes: "Axes", result: Result) -> None:
    """On a scale where each further nine is as wide as the last one."""
    histogram = result.counts.latency
    axes.set_title("Latency by percentile", loc="left", fontsize=10, fontweight="bold")
    axes.set_xscale("log")
    axes.set_xlabel("share of the answers that took no longer")
    axes.set_ylabel("latency [ms]")
    axes.set_ylim(bottom=0)
    if not histogram:
        return
    last = 1 / max(2, len(histogram))  # beyond it a single answer decides
    points = [10 ** (-step / 100) for step in range(1000) if 10 ** (-step / 100) >= last]
    percentiles = [100 * (1 - point) for point in points]
    values = [histogram.percentile_ms(percentile) for percentile in percentiles]
    axes.plot([1 / point for point in points], values, color=_BLUE, drawstyle="steps-post")
    ticks = [tick for tick in _TICKS if 1 - tick / 100 >= last]
    axes.set_xticks([1 / (1 - tick / 100) for tick in ticks], [f"{tick:g} %" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlim(1, 1 / last)
    axes.set_ylim(0, 1.15 * max(values))
    for tick in ticks[1:]:
        value = histogram.percentile_ms(tick)
        where = 1 / (1 - tick / 100)
        axes.plot(where, value, "o", color=_BLUE, markersize=4)
        axes.annotate(f"{value:.3g} ms", (where, value), (-4, 6), textcoords="offset points", ha="right", fontsize=9)


def _draw_throughput(axes: "Axes", result: Result) -> None:
    steps = result.over_time
    axes.set_title("Throughput over time", loc="left", fontsize=10, fontweight="bold")
    axes.plot([step.seconds for step in steps], [step.requests_per_second for step in steps], ".-", color=_BLUE)
    if result.plan.rate is not None:
        axes.axhline(result.plan.rate, color=_GREY, linestyle="--", linewidth=1, label="asked")
        axes.legend(loc="lower right", frameon=False, fontsize=9)
    axes.set_ylabel("answers per second")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(labelbottom=False)


def _draw_latency(axes: "Axes", result: Result) -> None:
    axes.set_title("Latency over time", loc="left", fontsize=10, fontweight="bold")
    seconds = [step.seconds for step in result.over_time]
    for name, color in (("p99", _ORANGE), ("p50", _BLUE)):
        values = [getattr(step, f"{name}_ms") for step in result.over_time]  # a None leaves a gap
        axes.plot(seconds, values, ".-", color=color, label=name)
    axes.set_xlabel(f"seconds from the start of the measurement (steps of {result.plan.interval:g} s)")
    axes.set_ylabel("latency [ms]")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", frameon=False, fontsize=9, ncols=2)
