"""How far a run is: a line on standard error, only where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from rankserve_client.bench.plan import Plan
from rankserve_client.bench.processes import Progress
from rankserve_client.cli import output


@contextmanager
def shown(plan: Plan) -> Iterator[Callable[[Progress], None]]:
    """Gives what `processes.run` calls to show its progress."""
    console = output.progress_console()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[counts]}"),
    )
    with Bar(*columns, console=console, transient=True, disable=not output.moves(console)) as bar:
        task = bar.add_task("warming up", total=None, counts="")

        def show(progress: Progress) -> None:
            if progress.seconds is None:
                return
            bar.update(
                task,
                description="measuring",
                completed=_share(plan, progress),
                total=1,
                counts=_counts(progress, progress.seconds),
            )

        yield show


def _share(plan: Plan, progress: Progress) -> float:
    """How much of the run is over: of its time or of its requests, whichever ends it sooner."""
    of_time = 0.0 if plan.duration is None else (progress.seconds or 0.0) / plan.duration
    of_requests = 0.0 if plan.requests is None else (progress.answered + progress.failed) / plan.requests
    return min(1.0, max(of_time, of_requests))


def _counts(progress: Progress, seconds: float) -> str:
    rate = progress.answered / seconds if seconds > 0 else 0.0
    return f"{progress.answered:,} answered, {rate:,.0f}/s, {progress.failed:,} failed, {progress.wrong:,} wrong"
