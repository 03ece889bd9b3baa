"""A models directory of empty versions, and a loader that makes small models of them."""

from pathlib import Path

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.machine import MemoryShortageError
from rankserve_server.versions.entry import ModelState
from rankserve_server.versions.repository import Repository
from rankserve_training.artifact import ArtifactError
from server.small_model import small_model

_BROKEN, _TOO_LARGE = "broken", "too-large"


class Directory:
    """MODELS_DIR.

    Attributes:
        path: of it.
        loads: what was loaded, in order, as NAME/VERSION; those that failed too.
        beside_serving: for each of them, whether it was said that others were served.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loads: list[str] = []
        self.beside_serving: list[bool] = []

    def add(self, *versions: str, broken: bool = False, too_large: bool = False) -> None:
        """Makes versions, such as a/1."""
        for version in versions:
            directory = self.path / version
            directory.mkdir(parents=True, exist_ok=True)
            if broken:
                (directory / _BROKEN).touch()
            if too_large:
                (directory / _TOO_LARGE).touch()

    def mend(self, version: str) -> None:
        """Takes out what is wrong with it."""
        (self.path / version / _BROKEN).unlink()

    def remove(self, version: str) -> None:
        """Deletes a version that is not broken."""
        (self.path / version).rmdir()

    def load(self, directory: Path, beside_serving: bool) -> LoadedModel:
        """As `VersionLoader.load`."""
        self.loads.append(f"{directory.parent.name}/{directory.name}")
        self.beside_serving.append(beside_serving)
        if (directory / _TOO_LARGE).exists():
            raise MemoryShortageError(f"{directory} is too large")
        if (directory / _BROKEN).exists():
            raise ArtifactError(f"{directory} is broken")
        return small_model(name=directory.parent.name, version=int(directory.name))

    def repository(self, default: str | None = None, keep: int = 1) -> Repository:
        """One that has loaded nothing yet."""
        return Repository(self.path, default, keep, self.load)

    def loaded(self, default: str | None = None, keep: int = 1) -> Repository:
        """One that has."""
        repository = self.repository(default, keep)
        repository.load()
        return repository


def chosen(
    repository: Repository, name: str = "", version: int | None = None, alias: str | None = None, user_id: int = 0
) -> str:
    """NAME/VERSION that answers."""
    model = repository.select(name, version, alias, user_id)
    return f"{model.name}/{model.version}"


def states(repository: Repository) -> dict[str, ModelState]:
    """By NAME/VERSION."""
    return {f"{entry.name}/{entry.version}": entry.state for entry in repository.entries()}
