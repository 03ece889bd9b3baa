import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import rankserve_client

LIBRARY = [
    module.name
    for module in pkgutil.iter_modules(rankserve_client.__path__, "rankserve_client.")
    if module.name != "rankserve_client.cli"
]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_all_is_sorted_and_true() -> None:
    assert rankserve_client.__all__ == sorted(rankserve_client.__all__)
    public = {
        name
        for name, value in vars(rankserve_client).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }
    assert set(rankserve_client.__all__) == public | {"__version__"}


def test_nothing_heavy_is_imported() -> None:
    code = f"""
import sys
{"; ".join(f"import {name}" for name in LIBRARY)}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    imported = set(run(code).split())
    assert {"grpc", "rankserve_client"} <= imported
    forbidden = {"numpy", "keras", "jax", "tensorflow", "click", "rich", "rankserve_server", "rankserve_training"}
    assert not imported & forbidden


def test_importing_is_quick() -> None:
    code = """
import time, grpc
started = time.process_time()
import rankserve_client
print(time.process_time() - started)
"""
    assert min(float(run(code)) for _ in range(3)) < 0.2


@pytest.mark.parametrize("name", LIBRARY)
def test_examples_are_true(name: str) -> None:
    # Those that need a server are marked to be skipped, but must at least be Python.
    module = importlib.import_module(name)
    names = {name: getattr(rankserve_client, name) for name in rankserve_client.__all__}
    result = doctest.testmod(module, extraglobs=names)
    assert result.failed == 0
    for example in doctest.DocTestFinder().find(module):
        for statement in example.examples:
            compile(statement.source, example.name, "single")
