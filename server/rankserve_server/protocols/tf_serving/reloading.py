"""HandleReloadConfigRequest: which models are served, and which of their versions."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.protocols.id_tensors import wrong
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.versions import plan_changes
from rankserve_server.versions.repository import Repository


@dataclass(frozen=True)
class _Wanted:
    """What is to become of a model.

    Attributes:
        name: of it.
        pinned: the version that answers who names none; None for the newest.
        labels: its aliases, all of them.
    """

    name: str
    pinned: int | None
    labels: dict[str, int]


def reload_config(request: pb.ReloadConfigRequest, repository: Repository) -> None:
    """Does what a configuration says, which is all of it: models that it does not name are unloaded.

    Raises:
        RequestError: where that cannot be done. Nothing is then changed where the request itself is wrong.
    """
    config = request.config
    if config.WhichOneof("config") != "model_config_list":
        raise wrong("config", "should have a `model_config_list`")
    configs = config.model_config_list.config
    if not configs:
        raise wrong("config.model_config_list", "should name a model; an empty one would unload every model")
    _check_names([each.name for each in configs])
    wanted = [_wanted(each, repository) for each in configs]
    for model in wanted:
        repository.load_model(model.name)
    for model in wanted:
        repository.change_plan(model.name, plan_changes.configure(model.pinned, model.labels))
    for name in {model.name for model in repository.served()} - {model.name for model in wanted}:
        repository.unload_model(name)


def _check_names(names: list[str]) -> None:
    violations = [Violation("name", f"{name!r} is there {n} times") for name, n in Counter(names).items() if n > 1]
    if not all(names):
        violations.append(Violation("name", "should name a model"))
    if violations:
        raise InvalidRequestError(*violations)


def _wanted(config: pb.ModelConfig, repository: Repository) -> _Wanted:
    directory = repository.directory_of(config.name)
    if config.base_path and Path(config.base_path).absolute() != directory.absolute():
        raise wrong(
            f"{config.name}.base_path",
            "this server serves what lies in its models directory; leave it empty or name the model's folder there",
        )
    return _Wanted(config.name, _pinned(config), dict(config.version_labels))


def _pinned(config: pb.ModelConfig) -> int | None:
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice is None or (choice == "latest" and policy.latest.num_versions <= 1):
        return None
    if choice == "specific" and len(policy.specific.versions) == 1:
        return policy.specific.versions[0]
    raise wrong(
        f"{config.name}.model_version_policy",
        "should be `latest` with one version or `specific` with one; others are loaded where they have a label, or "
        "where the server is started with --keep-versions",
    )
