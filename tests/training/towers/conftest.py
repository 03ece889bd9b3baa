"""Towers of a small world are trained in seconds; what takes long is to compile their steps."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True, scope="package")
def _little_optimised() -> Iterator[None]:
    """Here and in the processes that are started; whole trainings are tested as users run them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)
