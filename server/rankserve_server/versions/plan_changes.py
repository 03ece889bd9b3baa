"""What an operator can want of a model's versions, each as a change of its plan."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from rankserve_server.errors import ConflictError, InvalidRequestError, Violation
from rankserve_server.versions.serving_plan import Alias, Percent, ServingPlan, Share, Version


class VersionsNow(Protocol):
    """What a change has to know of a model."""

    @property
    def name(self) -> str:
        """The model's."""

    @property
    def current_version(self) -> int | None:
        """The version that answers now; None where none does."""

    def older_than(self, version: int) -> int | None:
        """The newest version below this one that may serve; None where there is none."""


# From the plan as it is to the plan as it should be; the versions that it names are then loaded. Raises ConflictError
# where there is nothing to change, and InvalidRequestError where it makes no sense.
PlanChange: TypeAlias = Callable[[ServingPlan, VersionsNow], ServingPlan]


def promote(version: int) -> PlanChange:
    """Makes a version the current one, and keeps it that; a canary or shadow of it has then come to its end."""
    wanted = _checked("version", version, Version)

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        return _with_current(plan, now, wanted)

    return change


def roll_back() -> PlanChange:
    """Makes the version current that was so before, and keeps it that.

    Where the newest version has been current by itself, the one before is the next older one that may serve.
    """

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        current = now.current_version
        before = plan.previous if plan.previous is not None else current and now.older_than(current)
        if before is None:
            raise ConflictError(f"model {now.name!r} has no version to go back to")
        return _with_current(plan, now, before)

    return change


def pin(version: int | None) -> PlanChange:
    """Keeps a version current, whatever is published; None for the one that is current now."""
    wanted = None if version is None else _checked("version", version, Version)

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        chosen = now.current_version if wanted is None else wanted
        if chosen is None:
            raise ConflictError(f"model {now.name!r} has no version that answers")
        return _with_current(plan, now, chosen)

    return change


def unpin() -> PlanChange:
    """Makes the newest version the current one again, now and whenever another is published."""

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        if plan.pinned is None:
            raise ConflictError(f"model {now.name!r} follows its newest version already")
        return msgspec.structs.replace(plan, pinned=None, previous=None)

    return change


def set_alias(alias: str, version: int) -> PlanChange:
    """Gives a version another name, which no other version then has."""
    name, wanted = _checked("alias", alias, Alias), _checked("version", version, Version)
    return lambda plan, _: msgspec.structs.replace(plan, aliases={**plan.aliases, name: wanted})


def delete_alias(alias: str) -> PlanChange:
    """Takes a name away."""

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        if alias not in plan.aliases:
            raise ConflictError(f"model {now.name!r} has no alias {alias!r}")
        left = {name: version for name, version in plan.aliases.items() if name != alias}
        return msgspec.structs.replace(plan, aliases=left)

    return change


def set_canary(version: int, percent: float) -> PlanChange:
    """Lets a version answer for a share of the users; 0 percent ends that, whatever the version."""
    share = _share(version, percent)
    return lambda plan, _: msgspec.structs.replace(plan, canary=share)


def set_shadow(version: int, percent: float) -> PlanChange:
    """Lets a version score a share of the requests too; 0 percent ends that, whatever the version."""
    share = _share(version, percent)
    return lambda plan, _: msgspec.structs.replace(plan, shadow=share)


def unload() -> PlanChange:
    """Takes the model out of service; the rest of the plan is kept for when it comes back."""
    return lambda plan, _: msgspec.structs.replace(plan, unloaded=True)


def load() -> PlanChange:
    """Brings it back. Whatever makes a version current does that too."""
    return lambda plan, _: msgspec.structs.replace(plan, unloaded=False)


def configure(version: int | None, aliases: Mapping[str, int]) -> PlanChange:
    """Serves a model with this version current, the newest for None, and with these aliases alone."""
    wanted = None if version is None else _checked("version", version, Version)
    named = _checked("aliases", dict(aliases), dict[Alias, Version])

    def change(plan: ServingPlan, now: VersionsNow) -> ServingPlan:
        served = msgspec.structs.replace(plan, aliases=named, unloaded=False)
        if wanted is None:
            return msgspec.structs.replace(served, pinned=None, previous=None)
        return _with_current(served, now, wanted)

    return change


def _with_current(plan: ServingPlan, now: VersionsNow, version: int) -> ServingPlan:
    current = now.current_version
    return msgspec.structs.replace(
        plan,
        pinned=version,
        previous=plan.previous if current == version else current,
        canary=_unless(plan.canary, version),
        shadow=_unless(plan.shadow, version),
        unloaded=False,
    )


def _unless(share: Share | None, version: int) -> Share | None:
    return None if share is None or share.version == version else share


def _share(version: int, percent: float) -> Share | None:
    if percent == 0:
        return None
    return Share(_checked("version", version, Version), _checked("percent", percent, Percent))


def _checked(field: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(Violation(field, f"{error}, got {value!r}")) from error
