"""What a run prints: a table, and sentences where something needs saying."""

from rich.console import Console
from rich.table import Table

from rankserve_client.bench.plan import Plan
from rankserve_client.bench.result import Result
from rankserve_client.cli import output

_COLUMNS = {"min": "min", "p50": "p50", "p90": "p90", "p99": "p99", "p99_9": "p99.9", "max": "max"}


def print_report(result: Result) -> None:
    """Prints the report of a run on standard output."""
    console = output.console()
    console.print(output.cell(headline(result), style="dim"), soft_wrap=True)
    console.print()
    console.print(_counts_table(result))
    if latency := result.latency_ms:
        console.print()
        console.print(_latency_table(latency))
    _print_notes(console, result)


def headline(result: Result) -> str:
    """What was run, in one line."""
    plan = result.plan
    parts = [
        f"{result.model_name} version {result.model_version} at {result.server}",
        load(plan),
        f"{plan.candidates.text} candidates" + (f", top {plan.top_k}" if plan.top_k else ""),
        f"{plan.processes} process{'es' * (plan.processes > 1)}, {plan.connections} connection"
        f"{'s' * (plan.connections > 1)}",
        f"{result.seconds:.1f} s",
    ]
    return "; ".join(parts)


def load(plan: Plan) -> str:
    """The kind of loop, in words."""
    if plan.speed is not None:
        return f"open loop, at {plan.speed:g} times the recorded speed"
    if plan.rate is not None:
        return f"open loop, {plan.rate:,g} requests/s asked"
    return f"closed loop, {plan.concurrency} under way"


def _counts_table(result: Result) -> Table:
    counts, plan = result.counts, result.plan
    table = output.table("", "count", "per second", "", numeric=("count", "per second"))

    def add(name: str, count: int, rate: float | None = None, note: str = "") -> None:
        table.add_row(name, f"{count:,}", "" if rate is None else f"{rate:,.1f}", output.cell(note))

    asked = "" if plan.rate is None else f"asked: {plan.rate:,.1f} per second"
    add("sent", counts.sent, result.sent_per_second, asked)
    add("answered", counts.answered, result.requests_per_second)
    add("candidates", counts.candidates_in_time, result.candidates_per_second)
    add("failed", counts.failed)
    for code, count in counts.failures.most_common():
        add(f"  {code}", count, note=counts.messages.get(code, ""))
    add("wrong answers", counts.wrong.total(), note=", ".join(f"{kind} {n:,}" for kind, n in counts.wrong.items()))
    if plan.concurrency is None:
        add("not sent", counts.not_sent.total())
    return table


def _latency_table(latency: dict[str, float]) -> Table:
    names = _COLUMNS.values()
    table = output.table("latency", *names, numeric=tuple(names))
    table.add_row("ms", *(_three_digits(latency[key]) for key in _COLUMNS))
    return table


def _three_digits(milliseconds: float) -> str:
    """As many digits as were measured."""
    digits = 3 if milliseconds < 1 else 2 if milliseconds < 10 else 1 if milliseconds < 100 else 0
    return f"{milliseconds:,.{digits}f}"


def notes(result: Result) -> list[str]:
    """What the reader has to know to read the figures right."""
    counts, plan = result.counts, result.plan
    found = []
    if result.bottlenecks:
        found.append(
            f"the generator itself was the bottleneck: {' and '.join(result.bottlenecks)}; the server can do at least "
            "this throughput, and at most this latency (try more --processes, or another machine)"
        )
    if skipped := counts.not_sent["outstanding"]:
        found.append(
            f"{skipped:,} requests were not sent because {plan.max_outstanding:,} were under way already "
            "(--max-outstanding): the answers did not keep up with the rate, and the latency leaves these requests out"
        )
    if counts.failed:
        found.append("the latency is that of answered requests only: failed ones are left out")
    if counts.with_unknown:
        found.append(
            f"{counts.with_unknown:,} answers were to users or with items that the model does not know: "
            "give its ids with --users and --items"
        )
    if len(counts.answered_by) > 1:
        models = ", ".join(f"{name} version {version}: {n:,}" for (name, version), n in counts.answered_by.items())
        found.append(f"several models answered ({models})")
    return found


def _print_notes(console: Console, result: Result) -> None:
    found = notes(result)
    if found:
        console.print()
    for note in found:
        console.print(output.cell(note, style="yellow"), soft_wrap=True)
