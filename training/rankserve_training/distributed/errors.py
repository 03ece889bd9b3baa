"""What goes wrong between processes."""


class GroupError(Exception):
    """The processes cannot train together, or not any more. The message says why, in one line."""


# What is in the messages of JAX, of its runtime and of Gloo where another process does not answer.
_SIGNS = ("gloo", "coordination", "barrier", "heartbeat", "unavailable:", "deadline_exceeded", "connection")


def is_of_lost_process(error: Exception) -> bool:
    """Whether this is what JAX raises where another process has ended; it has no class for that."""
    return isinstance(error, (RuntimeError, ValueError)) and any(sign in str(error).lower() for sign in _SIGNS)


def lost(error: Exception) -> GroupError:
    """The same in one line."""
    line = str(error).partition("\n")[0]
    return GroupError(f"another process of this training has ended or cannot be reached ({line})")
