"""Memory that a training has done with."""

import ctypes
import gc
import sys

import jax


def free_finished() -> None:
    """Frees models that nothing needs any more, with their optimizers, and gives their memory back.

    A Keras model refers to itself, so that it stays until Python looks for such circles, which may be never.
    """
    gc.collect()
    give_back()


def free_programs() -> None:
    """The same, and frees what JAX has compiled: 80 MiB after the search, hardly any of which is used again."""
    jax.clear_caches()
    free_finished()


def give_back() -> None:
    """Has the C library give what is free back to the operating system; does nothing where it cannot.

    glibc keeps what is freed between blocks that are still used. JAX leaves much of that, as it compiles in several
    threads that have memory of their own: 140 MiB for the towers, which nothing would use again.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
