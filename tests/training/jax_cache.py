"""What trainings in the tests' own process compile is kept for the next one, as it is for those in processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache


@contextmanager
def jax_keeps_what_it_compiles() -> Iterator[None]:
    """Only meanwhile: what the server compiles in the tests' process is kept by itself, see `keep_programs_in`.

    JAX has read its environment before the tests' conftest wrote it.
    """
    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_compilation_cache_max_size", int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.03)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _enable(True)
    try:
        yield
    finally:
        _enable(False)


def _enable(enabled: bool) -> None:
    jax.config.update("jax_enable_compilation_cache", enabled)
    reset_cache()  # it asks whether it is enabled only once
