"""What comes out of a pipe between processes."""

from multiprocessing import Pipe
from typing import TypeVar

_Thing = TypeVar("_Thing")


def through_a_pipe(thing: _Thing) -> _Thing:
    """The copy that another process would receive; a small one, which the pipe holds until it is taken."""
    receiver, sender = Pipe(duplex=False)
    with receiver, sender:
        sender.send(thing)
        copy: _Thing = receiver.recv()
    return copy
