"""JAX as the engine needs it. Every module of the server that uses JAX takes it from here."""

import os

# One thread computes, and it is not one of ours, so that requests are taken and answered meanwhile. With more, a batch
# of 128 takes nearly twice as long, because the threads of XLA's pool are woken and looked for; and they take the cores
# from those that carry the requests.
os.environ["PJRT_NPROC"] = "1"
# Once each: who starts this process may have done it.
os.environ["XLA_FLAGS"] = " ".join(
    dict.fromkeys((*os.environ.get("XLA_FLAGS", "").split(), "--xla_cpu_multi_thread_eigen=false"))
)
# The server computes on the CPU. Without this JAX would take a GPU that it finds, and most of its memory.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

__all__ = ["jax"]
