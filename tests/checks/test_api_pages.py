"""The pages that are made from the sources are those that `make docs` would make now."""

import subprocess
import sys
from pathlib import Path

import pytest

from checks.repository import ROOT

_FOLDER = ROOT / "docs" / "api"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("api")
    subprocess.run([sys.executable, _FOLDER / "generate.py", directory], check=True, timeout=120)
    return directory


@pytest.mark.parametrize("name", ["commands.md", "grpc.md", "python.md"])
def test_a_page_is_fresh(made: Path, name: str) -> None:
    assert (made / name).read_text(encoding="utf-8") == (_FOLDER / name).read_text(encoding="utf-8"), "run `make docs`"


def test_there_are_no_others(made: Path) -> None:
    assert {page.name for page in made.iterdir()} == {page.name for page in _FOLDER.glob("*.md")}


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("commands.md", "| `--port` "),
        ("commands.md", "`RANKSERVE_MODELS_CANARY_PERCENT`"),
        ("grpc.md", "- `user_id = 1` (int64): The user to rank for."),
        ("python.md", "### RankingClient.rank_stream"),
    ],
)
def test_a_page_has_what_is_looked_for(made: Path, page: str, text: str) -> None:
    assert text in (made / page).read_text(encoding="utf-8")
