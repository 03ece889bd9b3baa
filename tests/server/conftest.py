"""What the tests of the server's parts share."""

from pathlib import Path

import pytest

from rankserve_server.engine.engine import Engine
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loading import load_version
from server.two_towers import Published, publish_towers, random_towers


@pytest.fixture(scope="session")
def movielens(models_dir: Path) -> LoadedModel:
    """The real model, loaded as the server does it."""
    return load_version(models_dir / "movielens" / "1", lambda: None)


@pytest.fixture(scope="session")
def engine(movielens: LoadedModel) -> Engine:
    return movielens.engine


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version of two towers."""
    return publish_towers(tmp_path_factory.mktemp("towers"), random_towers())


@pytest.fixture(scope="session")
def towers_model(published: Published) -> LoadedModel:
    return load_version(published.directory, lambda: None)
