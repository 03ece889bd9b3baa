"""Keras on its JAX backend. Every module of rankserve that uses Keras takes it from here."""

import keras

if keras.backend.backend() != "jax":
    raise ImportError(
        f"rankserve runs Keras on JAX, but Keras was imported with its {keras.backend.backend()} backend before "
        "rankserve_training was; import that first, or set KERAS_BACKEND=jax"
    )

__all__ = ["keras"]
