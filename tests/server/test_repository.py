"""Which versions are loaded and which of them answers, with loading itself replaced."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from rankserve_server import repository as repository_module
from rankserve_server.errors import NotReadyError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.repository import ModelState, Repository
from rankserve_training.artifact import ArtifactError
from server.small_model import small_model

BROKEN = "broken"


@pytest.fixture(autouse=True)
def _load_small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_version(directory: Path, checkpoint: Callable[[], None], *_: object) -> LoadedModel:
        checkpoint()
        if (directory / BROKEN).exists():
            raise ArtifactError(f"{directory} is broken")
        return small_model(name=directory.parent.name, version=int(directory.name))

    monkeypatch.setattr(repository_module, "load_version", load_version)


def make(models_dir: Path, *versions: str, broken: tuple[str, ...] = ()) -> None:
    for version in versions:
        (models_dir / version).mkdir(parents=True)
        if version in broken:
            (models_dir / version / BROKEN).touch()


def loaded(models_dir: Path, default: str | None = None) -> Repository:
    repository = Repository(models_dir, default)
    repository.load(lambda: None)
    return repository


def chosen(repository: Repository, name: str = "", version: int | None = None, alias: str | None = None) -> str:
    model = repository.select(name, version, alias)
    return f"{model.name}/{model.version}"


def states(repository: Repository) -> list[tuple[str, int, ModelState]]:
    return [(entry.name, entry.version, entry.state) for entry in repository.entries()]


class TestLoading:
    def test_the_newest_version_of_each_model_is_served(self, tmp_path: Path) -> None:
        make(tmp_path, "b/1", "b/2", "b/10", "a/7", ".hidden/1", "a/.publishing-x", "a/latest")
        repository = loaded(tmp_path)
        assert [f"{model.name}/{model.version}" for model in repository.served()] == ["a/7", "b/10"]
        assert states(repository) == [("a", 7, ModelState.READY), ("b", 10, ModelState.READY)]

    def test_broken_versions_are_passed_over_for_an_older_one(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        make(tmp_path, "a/1", "a/2", "a/3", "a/4", broken=("a/3", "a/4"))
        with caplog.at_level(logging.ERROR):
            repository = loaded(tmp_path)
        assert chosen(repository) == "a/2"
        assert states(repository) == [
            ("a", 4, ModelState.FAILED),
            ("a", 3, ModelState.FAILED),
            ("a", 2, ModelState.READY),
        ]
        assert repository.entry("a", 3, None).message == f"{tmp_path / 'a/3'} is broken"
        assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
            "a/4 cannot be served",
            "a/3 cannot be served",
        ]

    def test_one_broken_model_does_not_keep_the_others_from_being_served(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1", broken=("a/1",))
        repository = loaded(tmp_path)
        assert chosen(repository, "b") == "b/1"
        with pytest.raises(UnknownModelError):
            repository.select("a")

    def test_what_the_checkpoint_raises_ends_it(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "a/2")

        def stop() -> None:
            raise KeyError("stopped")

        with pytest.raises(KeyError, match=r"stopped"):
            Repository(tmp_path, None).load(stop)

    def test_the_table_limit_is_that_of_each_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        make(tmp_path, "a/1", "b/1")
        limits = []

        def load_version(_: Path, __: Callable[[], None], max_table_mib: float, *___: object) -> LoadedModel:
            limits.append(max_table_mib)
            return small_model()

        monkeypatch.setattr(repository_module, "load_version", load_version)
        Repository(tmp_path, None, max_table_mib=7).load(lambda: None)
        assert limits == [7, 7]

    @pytest.mark.parametrize("empty", ["missing", "."])
    def test_no_model_at_all(self, tmp_path: Path, empty: str) -> None:
        with pytest.raises(ArtifactError) as caught:
            loaded(tmp_path / empty)
        directory = tmp_path / empty
        assert str(caught.value) == (
            f"{directory} holds no model; publish one with: rankserve train --models-dir {directory}"
        )

    def test_nothing_but_broken_models(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1", broken=("a/1", "b/1"))
        with pytest.raises(ArtifactError, match=r"^no version of model 'a' can be served: .*a/1 is broken$"):
            loaded(tmp_path)

    def test_a_default_model_that_is_not_there(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1")
        with pytest.raises(ArtifactError, match=r"^the default model 'c' is none of: a, b$"):
            loaded(tmp_path, "c")

    def test_a_default_model_that_is_broken(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1", "b/2", broken=("b/1", "b/2"))
        with pytest.raises(ArtifactError, match=r"^no version of model 'b' can be served: .*b/2 is broken$"):
            loaded(tmp_path, "b")


class TestSelecting:
    def test_before_loading_nothing_is_ready(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1")
        repository = Repository(tmp_path, None)
        for ask in (repository.select, lambda: repository.entry("a", None, None)):
            with pytest.raises(NotReadyError, match=r"^the server is loading its models; try again later$"):
                ask()
        assert repository.entries() == []

    def test_during_loading_entries_can_be_listed_and_nothing_is_ready(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1")
        repository = Repository(tmp_path, None)
        seen = []

        def look() -> None:
            seen.append(states(repository))
            assert not any(repository.is_default(entry) for entry in repository.entries() if entry.name == "b")
            with pytest.raises(NotReadyError):
                repository.select("a")

        repository.load(look)
        assert seen == [
            [("a", 1, ModelState.LOADING)],
            [("a", 1, ModelState.READY), ("b", 1, ModelState.LOADING)],
        ]

    def test_the_only_model_is_the_default(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "a/2")
        repository = loaded(tmp_path)
        assert chosen(repository) == chosen(repository, "a") == chosen(repository, "a", 2) == "a/2"
        assert [repository.is_default(entry) for entry in repository.entries()] == [True]

    def test_of_several_models_the_operator_names_the_default(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/5", "b/6", broken=("b/6",))
        repository = loaded(tmp_path, "b")
        assert chosen(repository) == chosen(repository, version=5) == "b/5"
        assert {f"{e.name}/{e.version}": repository.is_default(e) for e in repository.entries()} == {
            "a/1": False,
            "b/5": True,
            "b/6": False,
        }

    def test_of_several_models_without_a_default_one_has_to_be_named(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "b/1")
        repository = loaded(tmp_path)
        assert chosen(repository, "b") == "b/1"
        with pytest.raises(UnknownModelError) as caught:
            repository.select()
        assert str(caught.value) == "no model was named and there is no default one; name one of: a, b"
        assert caught.value.resource_name == ""
        assert not any(repository.is_default(entry) for entry in repository.entries())

    @pytest.mark.parametrize(
        ("name", "version", "alias", "resource", "message"),
        [
            ("c", None, None, "c", "model 'c' is not served; these are: a, b"),
            ("c", 1, None, "c", "model 'c' is not served; these are: a, b"),
            ("a", 1, None, "a/1", "version 1 of model 'a' is not served; version 2 is"),
            ("", 3, None, "a/3", "version 3 of model 'a' is not served; version 2 is"),
            ("b", None, "best", "b@best", "model 'b' has no alias 'best'"),
            ("", None, "", "a@", "model 'a' has no alias ''"),
        ],
    )
    def test_what_is_not_served_is_named(
        self, tmp_path: Path, name: str, version: int | None, alias: str | None, resource: str, message: str
    ) -> None:
        make(tmp_path, "a/1", "a/2", "b/1")
        repository = loaded(tmp_path, "a")
        for ask in (repository.select, repository.entry):
            with pytest.raises(UnknownModelError) as caught:
                ask(name, version, alias)
            assert (caught.value.resource_name, str(caught.value)) == (resource, message)
            assert caught.value.resource_type == "rankserve.v1.Model"

    def test_an_entry_is_found_by_number_also_where_it_failed(self, tmp_path: Path) -> None:
        make(tmp_path, "a/1", "a/2", broken=("a/2",))
        repository = loaded(tmp_path)
        assert repository.entry("", 2, None).state is ModelState.FAILED
        assert repository.entry("", None, None).version == 1
