"""What the operator wants of versions: done at once, kept on disk, followed by every server on the directory."""

import json
import logging
from collections.abc import Callable

import pytest

from rankserve_server.errors import ConflictError, InvalidRequestError, UnknownModelError
from rankserve_server.versions import plan_changes
from rankserve_server.versions.plan_changes import PlanChange
from rankserve_server.versions.serving_plan import ServingPlanError
from server.versions.directory import Directory, chosen

USERS = range(1, 2_001)


def plan_of(directory: Directory) -> dict[str, object]:
    content: dict[str, object] = json.loads((directory.path / "a" / "serving.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def directory(directory: Directory) -> Directory:
    directory.add("a/1", "a/2", "a/3")
    return directory


class TestCurrentVersion:
    def test_promoting_holds_whatever_is_published(self, directory: Directory) -> None:
        repository = directory.loaded()
        entries = repository.change_plan("a", plan_changes.promote(2))
        assert [entry.version for entry in entries] == [2]
        directory.add("a/4")
        repository.update()
        repository.update()
        assert chosen(repository) == "a/2"
        assert directory.loads == ["a/3", "a/2"]

    def test_other_servers_and_later_ones_follow(self, directory: Directory) -> None:
        repository, other = directory.loaded(), directory.loaded()
        repository.change_plan("a", plan_changes.promote(1))
        assert chosen(other) == "a/3"
        other.update()
        assert chosen(other) == chosen(directory.loaded()) == "a/1"

    def test_rolling_back_a_promotion_and_that_too(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.promote(1))
        answers = []
        for _ in range(3):
            repository.change_plan("a", plan_changes.roll_back())
            answers.append(chosen(repository))
        assert answers == ["a/3", "a/1", "a/3"]

    def test_rolling_back_what_came_by_itself_goes_to_the_one_before(self, directory: Directory) -> None:
        directory.add("a/2", broken=True)
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.roll_back())
        assert chosen(repository) == "a/1"  # 2 is there, and bad
        roles = {entry.version: repository.roles(entry) for entry in repository.entries()}
        assert (roles[1].is_current, roles[1].is_pinned) == (True, True)

    def test_what_was_before_a_promotion_is_forgotten_with_it(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.promote(1))
        repository.change_plan("a", plan_changes.unpin())
        directory.add("a/4")
        repository.reload("", retry_quarantined=False)
        repository.change_plan("a", plan_changes.roll_back())
        assert chosen(repository) == "a/3"

    def test_pinning_and_unpinning(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("", plan_changes.pin(None))
        directory.add("a/4")
        repository.reload("", retry_quarantined=False)
        assert (chosen(repository), plan_of(directory)["pinned"]) == ("a/3", 3)
        repository.change_plan("", plan_changes.pin(2))
        assert chosen(repository) == "a/2"
        repository.change_plan("", plan_changes.unpin())
        assert (chosen(repository), plan_of(directory)["pinned"]) == ("a/4", None)

    def test_a_pinned_version_that_is_gone_is_stood_in_for(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.promote(2))
        directory.remove("a/2")
        repository.update()
        assert chosen(repository) == chosen(directory.loaded()) == "a/1"  # older rather than newer
        directory.add("a/2")
        repository.reload("", retry_quarantined=False)
        assert chosen(repository) == "a/2"


class TestAliases:
    def test_they_are_set_moved_and_deleted(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.set_alias("stable", 1))
        assert chosen(repository, alias="stable") == "a/1"
        assert chosen(directory.loaded(), alias="stable") == "a/1"
        repository.change_plan("a", plan_changes.set_alias("stable", 2))
        assert chosen(repository, alias="stable") == "a/2"
        assert [repository.roles(entry).aliases for entry in repository.entries()] == [(), ("stable",)]
        with pytest.raises(UnknownModelError, match=r"has no alias 'new'; it has stable$"):
            repository.select("a", alias="new")
        repository.change_plan("a", plan_changes.delete_alias("stable"))
        with pytest.raises(UnknownModelError):
            repository.select("a", alias="stable")
        assert [entry.version for entry in repository.entries()] == [3]


class TestUnloading:
    def test_no_version_answers_here_or_elsewhere(self, directory: Directory) -> None:
        directory.add("b/1")
        repository, other = directory.loaded("b"), directory.loaded("b")
        repository.change_plan("a", plan_changes.set_alias("stable", 1))
        repository.unload_model("a")
        other.update()
        for each in (repository, other, directory.loaded("b")):
            assert (each.unloaded_names(), [entry.name for entry in each.entries()]) == (["a"], ["b"])
            with pytest.raises(UnknownModelError, match="model 'z' is not served; these are: b"):
                each.select("z")
            with pytest.raises(UnknownModelError, match="model 'a' is not served: it is unloaded"):
                each.select("a", alias="stable")
            assert chosen(each) == "b/1"

    def test_what_is_published_meanwhile_is_not_loaded(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.unload_model("a")
        directory.add("a/4")
        repository.update()
        repository.update()
        assert directory.loads == ["a/3"]
        repository.load_model("a")
        assert chosen(repository) == "a/4"

    def test_a_server_starts_without_its_only_model(self, directory: Directory) -> None:
        directory.loaded().unload_model("a")
        later = directory.loaded()
        assert later.served() == []
        for name in ("a", ""):
            with pytest.raises(UnknownModelError, match="model 'a' is not served: it is unloaded"):
                later.select(name)
        with pytest.raises(UnknownModelError, match="these are: none"):
            later.select("z")
        later.load_model("a")
        assert chosen(later) == "a/3"

    def test_the_rest_of_the_plan_comes_back_with_it(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.promote(2))
        repository.change_plan("a", plan_changes.set_alias("old", 1))
        repository.unload_model("a")
        repository.load_model("a")
        assert (chosen(repository), chosen(repository, alias="old")) == ("a/2", "a/1")

    def test_promoting_brings_it_back(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.unload_model("a")
        repository.change_plan("a", plan_changes.promote(1))
        assert (chosen(repository), repository.unloaded_names()) == ("a/1", [])

    def test_loading_what_cannot_be_served(self, directory: Directory) -> None:
        directory.add("b/1", broken=True)
        repository = directory.loaded("a")
        with pytest.raises(ConflictError, match=r"no version of model 'b' can be served: .* is broken"):
            repository.load_model("b")
        directory.mend("b/1")
        repository.load_model("b")
        assert chosen(repository, "b") == "b/1"

    def test_what_is_not_there(self, directory: Directory) -> None:
        repository = directory.loaded()
        for change in (repository.load_model, repository.unload_model):
            with pytest.raises(UnknownModelError, match="'z' is not served"):
                change("z")


class TestCanary:
    def test_it_gets_its_share_of_the_users_and_they_stay(self, directory: Directory) -> None:
        repository = directory.loaded()

        def canaries(percent: float) -> set[int]:
            repository.change_plan("a", plan_changes.set_canary(2, percent))
            answers = {user: chosen(repository, user_id=user) for user in USERS}
            other = directory.loaded()
            assert answers == {user: chosen(other, user_id=user) for user in USERS}
            assert set(answers.values()) <= {"a/2", "a/3"}
            return {user for user, answer in answers.items() if answer == "a/2"}

        few, many, all_ = canaries(10), canaries(35), canaries(100)
        assert few < many < all_ == set(USERS)
        # Within four standard deviations of a binomial distribution.
        assert abs(len(few) - 200) < 4 * (2_000 * 0.1 * 0.9) ** 0.5
        assert abs(len(many) - 700) < 4 * (2_000 * 0.35 * 0.65) ** 0.5

    def test_who_names_a_version_gets_it(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.set_canary(2, 100))
        assert [chosen(repository, version=version, user_id=1) for version in (2, 3)] == ["a/2", "a/3"]

    def test_it_ends_by_a_promotion_or_at_zero(self, directory: Directory) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.set_canary(2, 50))
        repository.change_plan("a", plan_changes.set_canary(0, 0))
        assert {chosen(repository, user_id=user) for user in USERS} == {"a/3"}
        repository.change_plan("a", plan_changes.set_canary(2, 50))
        repository.change_plan("a", plan_changes.promote(2))
        assert {chosen(repository, user_id=user) for user in USERS} == {"a/2"}
        assert plan_of(directory)["canary"] is None


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            (plan_changes.promote(9), UnknownModelError, "model 'a' has no version 9"),
            (plan_changes.set_canary(9, 1), UnknownModelError, "model 'a' has no version 9"),
            (plan_changes.promote(1), ConflictError, "version 1 of model 'a' cannot be served: .*a/1 is broken"),
            (plan_changes.set_alias("x", 1), ConflictError, "version 1 of model 'a' cannot be served"),
            (plan_changes.set_shadow(1, 1), ConflictError, "version 1 of model 'a' cannot be served"),
            (plan_changes.unpin(), ConflictError, "model 'a' follows its newest version already"),
            (plan_changes.delete_alias("x"), ConflictError, "model 'a' has no alias 'x'"),
        ],
    )
    def test_nothing_changes(
        self, directory: Directory, change: PlanChange, error: type[Exception], message: str
    ) -> None:
        directory.add("a/1", broken=True)
        repository = directory.loaded()
        for _ in range(2):
            with pytest.raises(error, match=message):
                repository.change_plan("a", change)
        assert (chosen(repository), directory.loads.count("a/1") <= 1) == ("a/3", True)
        assert not (directory.path / "a" / "serving.json").exists()

    def test_nothing_to_go_back_to(self, directory: Directory) -> None:
        directory.add("b/1")
        with pytest.raises(ConflictError, match="model 'b' has no version to go back to"):
            directory.loaded().change_plan("b", plan_changes.roll_back())

    def test_a_model_that_is_not_there(self, directory: Directory) -> None:
        with pytest.raises(UnknownModelError, match=r"^model 'c' is not served; these are: a$"):
            directory.loaded().change_plan("c", plan_changes.roll_back())

    @pytest.mark.parametrize(
        ("field", "make"),
        [
            ("version", lambda: plan_changes.promote(0)),
            ("version", lambda: plan_changes.pin(-1)),
            ("version", lambda: plan_changes.set_canary(0, 5)),
            ("percent", lambda: plan_changes.set_canary(1, -1)),
            ("percent", lambda: plan_changes.set_shadow(1, 100.5)),
            ("percent", lambda: plan_changes.set_shadow(1, float("nan"))),
            ("alias", lambda: plan_changes.set_alias("", 1)),
            ("alias", lambda: plan_changes.set_alias("1st", 1)),
            ("alias", lambda: plan_changes.set_alias("x" * 65, 1)),
        ],
    )
    def test_what_makes_no_sense(self, field: str, make: Callable[[], PlanChange]) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            make()
        assert [violation.field for violation in caught.value.violations] == [field]


class TestTheFile:
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"\xff", b"[]", b'{"pinned": "2"}', b'{"pinned": 0}', b'{"unknown": 1}', b'{"format_version": 9}'],
    )
    def test_one_that_cannot_be_read_changes_nothing(
        self, directory: Directory, content: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        repository = directory.loaded()
        repository.change_plan("a", plan_changes.promote(2))
        file = directory.path / "a" / "serving.json"
        file.write_bytes(content)
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                repository.update()
        assert chosen(repository) == "a/2"
        assert [str(file) in record.getMessage() for record in caplog.records] == [True]
        with pytest.raises(ServingPlanError, match=r"serving\.json"):
            repository.change_plan("a", plan_changes.promote(3))
        assert file.read_bytes() == content

    def test_a_directory_that_cannot_be_written_changes_nothing(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = directory.loaded()

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("rankserve_server.versions.serving_plan.os.fsync", full)
        with pytest.raises(ServingPlanError, match=r"serving.json cannot be written: No space left on device"):
            repository.change_plan("a", plan_changes.promote(1))
        repository.update()
        assert chosen(repository) == "a/3"
        assert sorted(path.name for path in (directory.path / "a").iterdir()) == ["1", "2", "3"]
