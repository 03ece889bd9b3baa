"""A disk that is slow, for processes that are started with this directory in PYTHONPATH: see `test_slow_disk`.

To open what lies below SLOW_DIRECTORY takes Python SLOW_SECONDS more.
"""

import builtins
import functools
import io
import os
import time
from collections.abc import Callable
from typing import Any

_DIRECTORY = os.environ["SLOW_DIRECTORY"]
_SECONDS = float(os.environ["SLOW_SECONDS"])


def _slow(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(path, (str, os.PathLike)) and str(os.fspath(path)).startswith(_DIRECTORY):
            time.sleep(_SECONDS)
        return function(path, *arguments, **options)

    return call


builtins.open = io.open = _slow(io.open)
os.open = _slow(os.open)
