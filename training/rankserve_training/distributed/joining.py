"""How a process finds the others."""

from dataclasses import dataclass
from importlib import metadata

import jax
import msgspec

from rankserve_training.distributed.errors import GroupError
from rankserve_training.distributed.group import Group

# A process that has not been heard of for so long is taken for dead.
_HEARTBEAT_SECONDS = 20
AUTO = "auto"


@dataclass(frozen=True)
class Member:
    """A process's place among the others.

    Attributes:
        coordinator: `HOST:PORT` where process 0 waits for the others; `auto` for what the environment says (Slurm, Open
            MPI, Kubernetes: see `jax.distributed.initialize`).
        processes: how many there are; None with `auto`.
        process_id: from 0; None with `auto`.
        join_seconds: so long the processes wait for each other at the start.
    """

    coordinator: str
    processes: int | None
    process_id: int | None
    join_seconds: int


class _Start(msgspec.Struct, frozen=True):
    """What all processes have to have the same, but for the first."""

    shard_tables: bool
    rankserve: str
    jax: str
    devices: int


def join(member: Member) -> Group:
    """Waits until all processes are there. To be called before anything is computed.

    Raises:
        GroupError: where they are not within `join_seconds`.
    """
    try:
        if member.coordinator == AUTO:
            jax.distributed.initialize(
                initialization_timeout=member.join_seconds, heartbeat_timeout_seconds=_HEARTBEAT_SECONDS
            )
        else:
            jax.distributed.initialize(
                member.coordinator,
                member.processes,
                member.process_id,
                cluster_detection_method="deactivate",
                initialization_timeout=member.join_seconds,
                heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
                # Only the address that was named is listened on.
                coordinator_bind_address=member.coordinator,
            )
        jax.devices()
    except ValueError as error:
        raise GroupError(
            f"the environment does not say which processes train together ({_first_line(error)}); give "
            "--coordinator HOST:PORT, --processes and --process-id"
        ) from error
    except Exception as error:  # of no common class: XLA's, and its connections'
        raise GroupError(
            f"not all processes have joined at {member.coordinator} within {member.join_seconds} s: "
            f"{_first_line(error)}"
        ) from error
    return Group(jax.process_index(), jax.process_count())


def agree(group: Group, shard_tables: bool) -> bool:
    """Whether tables are split, which process 0 says for all: of two minds they would wait for each other for ever.

    Raises:
        GroupError: in a process that cannot take part in what process 0 does.
    """
    here = _Start(shard_tables, metadata.version("rankserve"), jax.__version__, jax.local_device_count())
    leader = msgspec.json.decode(group.say(msgspec.json.encode(here) if group.leads else None), type=_Start)
    for what in ("rankserve", "jax", "devices"):
        there, own = getattr(leader, what), getattr(here, what)
        if there != own:
            raise GroupError(
                f"process 0 has {what} {there} and process {group.process} has {own}: make them the same; nothing was "
                "published"
            )
    return leader.shard_tables


def leave() -> None:
    """Says that this process has done its part; waits for the others to have done theirs."""
    jax.distributed.shutdown()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
