"""TF Serving's configuration as a change of what is served."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from rankserve_server.errors import ConflictError, InvalidRequestError, UnknownModelError
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.protocols.tf_serving.reloading import reload_config
from rankserve_server.versions.repository import Repository
from server.versions.directory import Directory, chosen

Policy = pb.FileSystemStoragePathSourceConfig.ServableVersionPolicy


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path)
    directory.add("a/1", "a/2", "b/1")
    return directory


@pytest.fixture
def repository(directory: Directory) -> Repository:
    return directory.loaded("a")


def config(
    name: str, policy: Policy | None = None, labels: Mapping[str, int] | None = None, base_path: str = ""
) -> pb.ModelConfig:
    return pb.ModelConfig(name=name, model_version_policy=policy, version_labels=labels or {}, base_path=base_path)


def request_of(*configs: pb.ModelConfig) -> pb.ReloadConfigRequest:
    return pb.ReloadConfigRequest(config=pb.ModelServerConfig(model_config_list=pb.ModelConfigList(config=configs)))


def specific(*versions: int) -> Policy:
    return Policy(specific=Policy.Specific(versions=versions))


def latest(count: int) -> Policy:
    return Policy(latest=Policy.Latest(num_versions=count))


def test_a_specific_version_is_current_until_the_latest_is_wanted(repository: Repository) -> None:
    reload_config(request_of(config("a", specific(1)), config("b")), repository)
    assert chosen(repository, "a") == "a/1"
    reload_config(request_of(config("a", latest(1)), config("b")), repository)
    assert chosen(repository, "a") == "a/2"


def test_labels_are_replaced(repository: Repository) -> None:
    reload_config(request_of(config("a", labels={"stable": 1, "canary": 2}), config("b")), repository)
    assert [chosen(repository, "a", alias=alias) for alias in ("stable", "canary")] == ["a/1", "a/2"]
    reload_config(request_of(config("a", labels={"stable": 2}), config("b")), repository)
    assert chosen(repository, "a", alias="stable") == "a/2"
    with pytest.raises(UnknownModelError, match="no alias 'canary'"):
        chosen(repository, "a", alias="canary")


def test_what_is_not_named_is_unloaded_until_it_is(repository: Repository) -> None:
    reload_config(request_of(config("b")), repository)
    assert (repository.unloaded_names(), [model.name for model in repository.served()]) == (["a"], ["b"])
    reload_config(request_of(config("a"), config("b")), repository)
    assert (repository.unloaded_names(), chosen(repository, "a")) == ([], "a/2")


def test_a_base_path_may_say_where_the_model_is(repository: Repository, tmp_path: Path) -> None:
    reload_config(request_of(config("a", base_path=str(tmp_path / "a")), config("b")), repository)
    assert chosen(repository, "a") == "a/2"


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (pb.ReloadConfigRequest(), "config: should have a `model_config_list`"),
        (request_of(), "an empty one would unload every model"),
        (request_of(config("")), "name: should name a model"),
        (request_of(config("a"), config("a")), "'a' is there 2 times"),
        (request_of(config("a", base_path="/etc")), "a.base_path: this server serves what lies in its models"),
        (request_of(config("a", base_path="a\0b")), "a.base_path: this server serves what lies in its models"),
        (request_of(config("a", latest(2))), "should be `latest` with one version or `specific` with one"),
        (request_of(config("a", specific(1, 2))), "should be `latest` with one version or `specific` with one"),
        (request_of(config("a", Policy(all=Policy.All()))), "should be `latest` with one version"),
        (request_of(config("a", specific(0))), "version: .* got 0"),
        (request_of(config("a", labels={"1": 1})), "aliases: "),
        (request_of(config("a", labels={"x": -1})), "aliases: "),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    repository: Repository, request_: pb.ReloadConfigRequest, text: str
) -> None:
    with pytest.raises(InvalidRequestError, match=text):
        reload_config(request_, repository)
    assert [f"{model.name}/{model.version}" for model in repository.served()] == ["a/2", "b/1"]


def test_models_and_versions_that_are_not_there(repository: Repository, directory: Directory) -> None:
    with pytest.raises(UnknownModelError, match="model 'z' is not served"):
        reload_config(request_of(config("b"), config("z")), repository)
    with pytest.raises(UnknownModelError, match="model 'a' has no version 9"):
        reload_config(request_of(config("a", labels={"stable": 9})), repository)
    directory.add("a/3", broken=True)
    with pytest.raises(ConflictError, match="version 3 of model 'a' cannot be served"):
        reload_config(request_of(config("a", labels={"stable": 3})), repository)
    assert [f"{model.name}/{model.version}" for model in repository.served()] == ["a/2", "b/1"]
