"""The README's Python, run as it stands there."""

import re
from pathlib import Path
from typing import Any

from integration.server_process import ServerProcess

README = Path(__file__).parents[2] / "README.md"
_ADDRESS = "127.0.0.1:50051"


def test_the_example_runs(towers_server: ServerProcess) -> None:
    examples = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    (example,) = (each for each in examples if "rankserve_client" in each)  # the other one is for `make peers`
    assert _ADDRESS in example
    # A generous time-out: the tests' machine may be busy.
    source = example.replace(_ADDRESS, towers_server.address).replace("timeout=0.2", "timeout=30")
    source = source.replace("        error.field_violations", "        violations = error.field_violations")
    seen: dict[str, Any] = {}
    exec(compile(source, str(README), "exec"), seen)  # noqa: S102, our own text
    ((field, description),) = seen["violations"]
    assert f"# {field}: {description}" in example
