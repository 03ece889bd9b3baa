"""Which versions are loaded and which of them answers, with loading itself replaced."""

import logging

import pytest

from rankserve_server.errors import NotReadyError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.versions.entry import ModelState
from rankserve_server.versions.repository import Repository
from rankserve_training.artifact import ArtifactError
from server.versions.directory import Directory, chosen, states

READY, LOADING, FAILED = ModelState.READY, ModelState.LOADING, ModelState.FAILED


class TestTheFirstLoad:
    def test_the_newest_version_of_each_model_is_served(self, directory: Directory) -> None:
        directory.add("b/1", "b/2", "b/10", "a/7", ".hidden/1", "a/.publishing-x", "a/latest")
        repository = directory.loaded()
        assert [f"{model.name}/{model.version}" for model in repository.served()] == ["a/7", "b/10"]
        assert states(repository) == {"a/7": READY, "b/10": READY}

    def test_broken_versions_are_passed_over_for_an_older_one(
        self, directory: Directory, caplog: pytest.LogCaptureFixture
    ) -> None:
        directory.add("a/1", "a/2")
        directory.add("a/3", "a/4", broken=True)
        with caplog.at_level(logging.ERROR):
            repository = directory.loaded()
        assert chosen(repository) == "a/2"
        assert list(states(repository).items()) == [("a/4", FAILED), ("a/3", FAILED), ("a/2", READY)]
        assert repository.entry("a", 3, None).message == f"{directory.path / 'a/3'} is broken"
        assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
            "a/4 cannot be served",
            "a/3 cannot be served",
        ]

    def test_one_broken_model_does_not_keep_the_others_from_being_served(self, directory: Directory) -> None:
        directory.add("b/1")
        directory.add("a/1", broken=True)
        repository = directory.loaded()
        assert chosen(repository, "b") == "b/1"
        with pytest.raises(UnknownModelError):
            repository.select("a")

    @pytest.mark.parametrize(("keep", "kept"), [(1, ["3"]), (2, ["3", "2"]), (0, ["3", "2", "1"])])
    def test_so_many_are_kept(self, directory: Directory, keep: int, kept: list[str]) -> None:
        directory.add("a/1", "a/2", "a/3")
        repository = directory.loaded(keep=keep)
        assert directory.loads == [f"a/{version}" for version in kept]
        assert chosen(repository) == "a/3"
        assert {chosen(repository, version=int(version)) for version in kept} == {f"a/{version}" for version in kept}

    def test_what_the_loader_raises_otherwise_ends_it(self, directory: Directory) -> None:
        directory.add("a/1")

        def stop(*_: object, **__: object) -> LoadedModel:
            raise KeyError("stopped")

        repository = Repository(directory.path, None, 1, stop)
        with pytest.raises(KeyError, match=r"stopped"):
            repository.load()
        assert repository.entries() == []

    @pytest.mark.parametrize("empty", ["missing", "."])
    def test_no_model_at_all(self, directory: Directory, empty: str) -> None:
        path = directory.path / empty
        with pytest.raises(ArtifactError) as caught:
            Repository(path, None, 1, directory.load).load()
        assert str(caught.value) == f"{path} holds no model; publish one with: rankserve train --models-dir {path}"

    def test_nothing_but_broken_models(self, directory: Directory) -> None:
        directory.add("a/1", "b/1", broken=True)
        with pytest.raises(ArtifactError, match=r"^no version of model 'a' can be served: .*a/1 is broken$"):
            directory.loaded()

    def test_a_default_model_that_is_not_there(self, directory: Directory) -> None:
        directory.add("a/1", "b/1")
        with pytest.raises(ArtifactError, match=r"^the default model 'c' is none of: a, b$"):
            directory.loaded("c")

    def test_a_default_model_that_is_broken(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("b/1", "b/2", broken=True)
        with pytest.raises(ArtifactError, match=r"^no version of model 'b' can be served: .*b/2 is broken$"):
            directory.loaded("b")


class TestSelecting:
    def test_before_loading_nothing_is_ready(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.repository()
        for ask in (repository.select, lambda: repository.entry("a", None, None), lambda: repository.reload("", False)):
            with pytest.raises(NotReadyError, match=r"^the server is loading its models; try again later$"):
                ask()
        assert repository.entries() == []

    def test_during_loading_entries_can_be_listed_and_nothing_is_ready(self, directory: Directory) -> None:
        directory.add("a/1", "b/1")
        seen = []

        class Looking(Directory):
            def load(self, *arguments: object, **options: object) -> LoadedModel:
                seen.append(states(repository))
                with pytest.raises(NotReadyError):
                    repository.select("a")
                return super().load(*arguments, **options)  # type: ignore[arg-type]  # passed on as they came

        repository = Looking(directory.path).repository()
        repository.load()
        assert seen == [{"a/1": LOADING}, {"a/1": READY, "b/1": LOADING}]

    def test_the_only_model_is_the_default(self, directory: Directory) -> None:
        directory.add("a/1", "a/2")
        repository = directory.loaded()
        assert chosen(repository) == chosen(repository, "a") == chosen(repository, "a", 2) == "a/2"
        assert [repository.roles(entry).is_default for entry in repository.entries()] == [True]

    def test_of_several_models_the_operator_names_the_default(self, directory: Directory) -> None:
        directory.add("a/1", "b/5")
        directory.add("b/6", broken=True)
        repository = directory.loaded("b")
        assert chosen(repository) == chosen(repository, version=5) == "b/5"
        assert {f"{e.name}/{e.version}": repository.roles(e).is_default for e in repository.entries()} == {
            "a/1": False,
            "b/5": True,
            "b/6": False,
        }

    def test_of_several_models_without_a_default_one_has_to_be_named(self, directory: Directory) -> None:
        directory.add("a/1", "b/1")
        repository = directory.loaded()
        assert chosen(repository, "b") == "b/1"
        with pytest.raises(UnknownModelError) as caught:
            repository.select()
        assert str(caught.value) == "no model was named and there is no default one; name one of: a, b"
        assert caught.value.resource_name == ""
        assert not any(repository.roles(entry).is_default for entry in repository.entries())

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
        self, directory: Directory, name: str, version: int | None, alias: str | None, resource: str, message: str
    ) -> None:
        directory.add("a/1", "a/2", "b/1")
        repository = directory.loaded("a")
        for ask in (repository.select, repository.entry):
            with pytest.raises(UnknownModelError) as caught:
                ask(name, version, alias)
            assert (caught.value.resource_name, str(caught.value)) == (resource, message)
            assert caught.value.resource_type == "rankserve.v1.Model"

    def test_an_entry_is_found_by_number_also_where_it_failed(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("a/2", broken=True)
        repository = directory.loaded()
        assert repository.entry("", 2, None).state is FAILED
        assert repository.entry("", None, None).version == 1


class TestLooking:
    def test_a_new_version_answers_once_its_files_rest(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.loaded()
        directory.add("a/2")
        repository.update()
        assert chosen(repository) == "a/1"
        repository.update()
        assert chosen(repository) == "a/2"
        assert (directory.loads, directory.beside_serving) == (["a/1", "a/2"], [False, True])
        assert states(repository) == {"a/2": READY}
        with pytest.raises(UnknownModelError):
            repository.select(version=1)

    def test_a_copy_that_goes_on_is_left_alone(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.loaded()
        for part in range(5):
            directory.add("a/2")
            (directory.path / "a/2" / f"part-{part}").touch()
            repository.update()
        assert directory.loads == ["a/1"]
        repository.update()
        assert chosen(repository) == "a/2"

    def test_nothing_new_changes_nothing(self, directory: Directory) -> None:
        directory.add("a/1", "b/1")
        repository = directory.loaded()
        changes = []
        repository.on_change(lambda: changes.append(1))
        model = repository.select("a")
        for _ in range(3):
            repository.update()
        assert repository.select("a") is model
        assert (len(directory.loads), changes) == (2, [])

    def test_a_new_model_is_found(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.loaded()
        directory.add("b/1")
        repository.update()
        repository.update()
        assert chosen(repository, "b") == "b/1"
        assert chosen(repository) == "a/1"  # it was the only one when the server started

    def test_a_bad_version_leaves_the_old_one_and_is_tried_once(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.loaded()
        directory.add("a/2", broken=True)
        for _ in range(5):
            repository.update()
        assert chosen(repository) == "a/1"
        assert directory.loads == ["a/1", "a/2"]
        assert states(repository) == {"a/2": FAILED, "a/1": READY}
        assert repository.entry("a", 2, None).message == f"{directory.path / 'a/2'} is broken"

    def test_nor_after_a_restart(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("a/2", broken=True)
        directory.loaded()
        repository = directory.loaded()
        assert directory.loads == ["a/2", "a/1", "a/1"]
        assert repository.entry("a", 2, None).message == f"{directory.path / 'a/2'} is broken"

    def test_it_is_tried_again_when_its_files_change(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("a/2", broken=True)
        repository = directory.loaded()
        directory.mend("a/2")
        repository.update()
        repository.update()
        assert chosen(repository) == "a/2"

    def test_a_version_without_memory_for_it_is_tried_again_after_a_restart_only(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("a/2", too_large=True)
        repository = directory.loaded()
        repository.update()
        assert directory.loads == ["a/2", "a/1"]
        directory.loaded()
        assert directory.loads == ["a/2", "a/1", "a/2", "a/1"]

    def test_the_operator_can_have_it_tried_again(self, directory: Directory) -> None:
        directory.add("a/1")
        directory.add("a/2", broken=True)
        repository = directory.loaded()
        repository.reload("", retry_quarantined=False)
        assert directory.loads == ["a/2", "a/1"]
        repository.reload("a", retry_quarantined=True)
        assert directory.loads == ["a/2", "a/1", "a/2"]

    def test_reload_does_not_wait_for_files_to_rest(self, directory: Directory) -> None:
        directory.add("a/1", "b/1")
        repository = directory.loaded()
        directory.add("a/2", "b/2", "c/1")
        assert [(e.name, e.version) for e in repository.reload("a", retry_quarantined=False)] == [("a", 2)]
        assert chosen(repository, "b") == "b/1"
        repository.reload("", retry_quarantined=False)
        assert [chosen(repository, name) for name in "abc"] == ["a/2", "b/2", "c/1"]
        with pytest.raises(UnknownModelError, match=r"^model 'd' is not served; these are: a, b, c$"):
            repository.reload("d", retry_quarantined=False)

    def test_a_deleted_version_makes_room_for_an_older_one(self, directory: Directory) -> None:
        directory.add("a/1", "a/2")
        repository = directory.loaded()
        directory.remove("a/2")
        repository.update()
        assert (chosen(repository), states(repository)) == ("a/1", {"a/1": READY})

    def test_a_directory_that_is_gone_takes_nothing_away(self, directory: Directory) -> None:
        directory.add("a/1")
        repository = directory.loaded()
        (directory.path / "a").rename(directory.path / ".a")
        repository.update()
        assert chosen(repository) == "a/1"
        (directory.path / ".a").rename(directory.path / "a")
        repository.update()
        assert directory.loads == ["a/1"]

    def test_nothing_usable_left_takes_nothing_away(self, directory: Directory) -> None:
        directory.add("a/1", "a/2")
        directory.add("a/0x")
        repository = directory.loaded()
        directory.add("a/1", broken=True)
        directory.remove("a/2")
        repository.update()
        repository.update()
        assert (chosen(repository), states(repository)) == ("a/2", {"a/2": READY, "a/1": FAILED})
