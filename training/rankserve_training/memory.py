"""Memory that a training has done with."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax import monitoring

# What JAX calls the event that a program has been compiled.
_COMPILED = "/jax/core/compile/backend_compile_duration"
# Fewer leave so little behind that looking for it, and compiling again, takes longer than it is worth.
_FEWEST_RATINGS = 500_000


def free_finished(ratings: int) -> None:
    """Frees models that nothing needs any more, with their optimizers, and gives their memory back.

    A Keras model refers to itself, so that it stays until Python looks for such circles, which may be never.

    Args:
        ratings: how many are trained on; where they are few, nothing is done.
    """
    if ratings >= _FEWEST_RATINGS:
        gc.collect()
        give_back()


def free_programs(ratings: int) -> None:
    """The same, and frees what JAX has compiled: 80 MiB after the search, hardly any of which is used again."""
    if ratings >= _FEWEST_RATINGS:
        jax.clear_caches()
        free_finished(ratings)


@contextmanager
def giving_back_after_compilation() -> Iterator[None]:
    """A block in which memory is given back as soon as JAX has compiled something, before that is run.

    JAX compiles in several threads, each of which leaves memory behind that nothing uses again: 140 MiB for the towers,
    as much as their first batch then needs.
    """

    def listener(event: str, duration_secs: float, **kwargs: str | int) -> None:  # noqa: ARG001, JAX declares the names
        if event == _COMPILED:
            give_back()

    monitoring.register_event_duration_secs_listener(listener)
    try:
        yield
    finally:
        monitoring.unregister_event_duration_listener(listener)


def give_back() -> None:
    """Has the C library give what is free back to the operating system; does nothing where it cannot.

    glibc keeps what is freed between blocks that are still used.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
