"""The package as a whole: what it exports, what importing it costs."""

import subprocess
import sys

import rankserve_training.data as data


def test_the_exports_are_sorted_and_there() -> None:
    assert data.__all__ == sorted(data.__all__)
    assert all(hasattr(data, name) for name in data.__all__)


def test_importing_it_is_cheap() -> None:
    heavy = "{'tensorflow', 'tensorflow_datasets', 'jax', 'keras'}"
    code = f"import sys, rankserve_training.data; sys.exit(bool({heavy} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
