"""Every command of docs/, typed as it stands there: page by page, from top to bottom, against real servers.

A page that starts no server finds one. Training and Ray are only read, see `typed_pages`; what is not typed says why.
`rankserve` itself is forked, see `command_forks`. What a page takes for granted lies in its directory:
`models/movielens/1`, or what `MODELS` says, and `model.keras`, `ratings.csv`, `items.csv` and `users.csv`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.repository import ROOT
from integration.server_process import running_server
from integration.tower_versions import edit_manifest
from integration.typed_pages import SECONDS, Page, run_page
from training import own_models

MODELS = {
    "operating": ["movielens/1", "movielens/2"],
    "own-models": [],  # it publishes one itself
    "training": ["shop/1"],
}
PAGES = [page for path in sorted((ROOT / "docs").glob("*.md")) if (page := Page(path)).blocks]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files that pages take for granted."""
    directory = tmp_path_factory.mktemp("docs")
    own_models.trained_mlp().save(directory / "model.keras")
    users, items = own_models.USER_IDS, own_models.ITEM_IDS
    (directory / "users.csv").write_text("userId\n" + "".join(f"{user}\n" for user in users))
    (directory / "items.csv").write_text("movieId,title\n" + "".join(f"{item},Item {item}\n" for item in items))
    ratings = [f"{user},{item},{1 + (user * item) % 5},{user}\n" for user in users for item in items]
    (directory / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(ratings))
    return directory


@pytest.fixture(scope="module")
def address(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server of `movielens`, for the pages that start none."""
    place = tmp_path_factory.mktemp("server")
    _copy(models_dir, place / "models", "movielens/1")
    with running_server(place / "models", place / "errors") as server:
        yield server.address


@pytest.mark.timeout(SECONDS + 100)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path.stem)
def test_what_a_page_says_works(
    page: Page, files: Path, models_dir: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    directory = shutil.copytree(files, tmp_path / "reader")
    for version in MODELS.get(page.path.stem, ["movielens/1"]):
        _copy(models_dir, directory / "models", version)
    server = None if page.starts_a_server else request.getfixturevalue("address")
    typed = run_page(page, directory, server)
    assert typed.returncode == 0, f"{page.path.name}: {typed.stdout}\n{typed.stderr}"
    assert "Traceback" not in typed.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.stem)
def test_what_is_not_typed_says_why(path: Path) -> None:
    assert not Page(path).unexplained


def test_a_command_without_a_reason_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nrankserve models\n```\n\nNo test types this: it takes an account.\n\n```\n$ rankserve serve\n```\n\n"
        "Some words.\n\n    rankserve bench\n"
    )
    assert Page(page).unexplained == ["    rankserve bench\n"]


def test_a_command_that_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\nrankserve rank --usr 3\necho done\n```\n")
    typed = run_page(Page(page), tmp_path)
    assert typed.returncode == 2
    assert "done" not in typed.stdout


def _copy(models_dir: Path, place: Path, version: str) -> None:
    """The model of the session, by the name and number that a page has for it."""
    copy = shutil.copytree(models_dir / "movielens" / "1", place / version)
    edit_manifest(copy, name=version.partition("/")[0], version=int(version.partition("/")[2]))
