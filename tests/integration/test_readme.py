"""The Python of the README and of docs/, run as it stands there."""

from pathlib import Path
from typing import Any

import pytest

from checks.documentation import FENCE
from checks.repository import ROOT
from integration.server_process import ServerProcess

_ADDRESS = "127.0.0.1:50051"
_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _examples() -> list[tuple[Path, str]]:
    """Those of our client; the others are for `make peers`."""
    return [
        (page, code)
        for page in _PAGES
        for language, code in FENCE.findall(page.read_text(encoding="utf-8"))
        if language == "python" and "rankserve_client" in code
    ]


@pytest.mark.parametrize(("page", "example"), _examples(), ids=lambda part: getattr(part, "stem", "example"))
def test_an_example_runs(towers_server: ServerProcess, page: Path, example: str) -> None:
    assert _ADDRESS in example
    # A generous time-out: the tests' machine may be busy.
    source = example.replace(_ADDRESS, towers_server.address).replace("timeout=0.2", "timeout=30")
    source = source.replace("        error.field_violations", "        violations = error.field_violations")
    seen: dict[str, Any] = {}
    exec(compile(source, str(page), "exec"), seen)  # noqa: S102, our own text
    for field, description in seen.get("violations", ()):
        assert f"# {field}: {description}" in example


def test_there_are_examples() -> None:
    assert {page.name for page, _ in _examples()} >= {"README.md", "calling.md"}
