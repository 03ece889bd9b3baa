"""JAX as the engine needs it. Every module of the server that uses JAX takes it from here."""

import os

# One thread computes a batch: with more, small batches lose more in the hand-over between threads than they gain, and
# the order of additions, so the last bit of a score, could depend on how the work happens to be shared.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
# The server computes on the CPU. Without this JAX would take a GPU that it finds, and most of its memory.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

# The calling thread computes by itself, which saves about 50 us a call, more than a small batch takes.
jax.config.update("jax_cpu_enable_async_dispatch", False)

__all__ = ["jax"]
