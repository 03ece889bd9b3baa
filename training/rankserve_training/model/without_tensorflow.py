"""Keras without TensorFlow, which it imports even on JAX."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """A block in which Keras cannot import TensorFlow, where that has not happened already.

    Keras does so when it sets seeds and when it saves a model, only to see whether something is TensorFlow's. The
    import takes seconds, and more memory than ten million ratings do. Keras remembers that there is none.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # to import it then fails; not known to typeshed
    try:
        yield
    finally:
        del sys.modules["tensorflow"]
