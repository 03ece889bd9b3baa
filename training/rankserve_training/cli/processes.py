"""The options of `rankserve train` about several processes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rankserve_training.distributed.processes import JOINED, LOG_VARIABLE, free_address, run_processes

if TYPE_CHECKING:
    from rankserve_training.distributed.leading import Others

_AUTO = "auto"
_OPTIONS = (
    click.option("--processes", type=click.IntRange(1, 1_024), help="Train with so many processes.  [default: 1]"),
    click.option(
        "--coordinator",
        metavar="HOST:PORT",
        help="Where process 0 waits for those of other machines; auto takes all three from Slurm, MPI or Kubernetes.",
    ),
    click.option("--process-id", type=click.IntRange(0), help="Which of them this is; with --coordinator."),
    click.option(
        "--join-timeout",
        default=300,
        show_default=True,
        type=click.IntRange(1, 86_400),
        metavar="SECONDS",
        help="So long processes wait for each other at the start.",
    ),
    click.option("--shard-tables", is_flag=True, help="Split the tables of users and items between the devices."),
)


@dataclass(frozen=True)
class ProcessOptions:
    """What was asked for; see the options."""

    processes: int | None
    coordinator: str | None
    process_id: int | None
    join_timeout: int
    shard_tables: bool

    @property
    def several(self) -> bool:
        """Whether there are other processes."""
        return self.coordinator is not None or (self.processes or 1) > 1

    def check(self) -> None:
        """Refuses what does not go together.

        Raises:
            click.UsageError: naming it.
        """
        if self.coordinator is None:
            if self.process_id is not None:
                raise click.UsageError("--process-id needs --coordinator: where do the processes meet?")
            return
        if self.coordinator == _AUTO:
            if self.processes is not None or self.process_id is not None:
                raise click.UsageError("--coordinator auto finds out --processes and --process-id itself")
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise click.UsageError(f"--coordinator {self.coordinator} is neither HOST:PORT nor auto")
        if self.processes is None or self.process_id is None:
            raise click.UsageError("--coordinator HOST:PORT needs --processes and --process-id")
        if self.process_id >= self.processes:
            raise click.UsageError(
                f"--process-id {self.process_id} is not one of --processes {self.processes}: they count from 0"
            )


def process_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_elsewhere(options: ProcessOptions, context: click.Context) -> bool:
    """Has processes of their own train, where several are asked for and this is none of them; whether it was so.

    Raises:
        click.exceptions.Exit: where they have failed, and said why.
        click.ClickException: where they have failed without a word.
    """
    if not options.several or LOG_VARIABLE in os.environ:
        return False
    given = _given(context)
    if options.coordinator is not None:
        number = "here" if options.process_id is None else str(options.process_id)
        members = [(number, given)]
    else:
        address, count = free_address(), options.processes or 1
        members = [
            (str(number), [*given, "--coordinator", address, "--process-id", str(number)]) for number in range(count)
        ]
    code = run_processes(members)
    if code:
        context.exit(code)
    return True


def _given(context: click.Context) -> list[str]:
    """The options that were given, as another process takes them."""
    given: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        given += [parameter.opts[0]] if value is True else [parameter.opts[0], str(value)]
    return given


def begin(options: ProcessOptions) -> "Others | None":
    """Joins the other processes. Process 0 gets them; None where there are none.

    Raises:
        GroupError: where they cannot be joined, or are lost.
        click.exceptions.Exit: in all but process 0, when they have done their part.
        click.UsageError: where tables are to be split on a single device.
    """
    if not options.several and not options.shard_tables:
        return None
    import jax

    from rankserve_training.distributed.following import follow
    from rankserve_training.distributed.joining import Member, agree, join, leave
    from rankserve_training.distributed.leading import Others
    from rankserve_training.towers.placement import place

    if options.coordinator is None:
        if jax.device_count() == 1:
            raise click.UsageError("--shard-tables needs several devices, or --processes")
        place(options.shard_tables)
        return None
    group = join(Member(options.coordinator, options.processes, options.process_id, options.join_timeout))
    os.write(2, f"{JOINED}\n".encode())
    place(agree(group, options.shard_tables))
    if group.leads:
        return Others(group)
    follow(group)
    leave()
    raise click.exceptions.Exit(0)
