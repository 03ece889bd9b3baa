"""Which models a server has, and which of their versions answers a request."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_server.errors import ConflictError, NotReadyError, StoreDownError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.versions import plan_changes
from rankserve_server.versions.entry import ModelEntry, Roles
from rankserve_server.versions.model_versions import Load, ModelVersions
from rankserve_server.versions.plan_changes import PlanChange
from rankserve_server.versions.serving_plan import change_plan
from rankserve_training.artifact import ArtifactError, list_names
from rankserve_training.artifact.storage.errors import StoreError

if TYPE_CHECKING:
    from rankserve_server.storage.mirror import Mirror
    from rankserve_server.tracing.load_trace import SwapTrace
    from rankserve_server.versions.routes import Routes

_log = logging.getLogger(__name__)


class Repository:
    """The models of a directory. Any thread may select; what changes them is done one at a time."""

    def __init__(
        self,
        models_dir: Path,
        default_name: str | None,
        keep: int,
        load: Load,
        tell_swap: "Callable[[SwapTrace], None] | None" = None,
        mirror: "Mirror | None" = None,
        version: int | None = None,
    ) -> None:
        """Looks at nothing yet.

        Args:
            models_dir: where versions lie.
            default_name: which model answers requests that name none; None for the only one.
            keep: how many of the newest versions of a model are loaded; 0 for all.
            load: loads one version.
            tell_swap: is told when requests go to another version; None where nobody wants to know.
            mirror: keeps `models_dir` in line with a store; None where there is none.
            version: of the default model, that is pinned here, whatever its plan says; None for what that says.
        """
        self._mirror = mirror
        self._place = str(models_dir) if mirror is None else mirror.url
        self._tell_swap = tell_swap
        self._version = version
        self._models_dir = models_dir
        self._default_name = default_name
        self._keep = keep
        self._load = load
        self._models: dict[str, ModelVersions] = {}
        self._routes: dict[str, Routes] = {}
        self._ready = False
        self._changing = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def load(self) -> None:
        """Loads for the first time.

        Raises:
            ArtifactError: where there is no model, none can be served, or the default one cannot.
        """
        if self._mirror is not None:
            self._mirror.start()
        names = list_names(self._models_dir)
        if not names:
            raise ArtifactError(
                f"{self._place} holds no model; publish one with: rankserve train --models-dir {self._place}"
            )
        if self._default_name is None and len(names) == 1:
            self._default_name = names[0]
        if self._default_name is not None and self._default_name not in names:
            raise ArtifactError(f"the default model {self._default_name!r} is none of: {', '.join(names)}")
        self.update(unsettled=True)
        needed = self._default_name or names[0]
        # Who has taken a model out of service wants the server to start without it.
        if needed not in self._routes and (self._default_name or not self._routes) and not self._is_unloaded(needed):
            raise ArtifactError(f"no version of model {needed!r} can be served: {self._reason(needed)}")
        self._ready = True

    def on_change(self, listener: Callable[[], None]) -> None:
        """Calls `listener` after every look at the directory that has changed anything, on the thread that looked."""
        self._listeners.append(listener)

    def update(self, unsettled: bool = False) -> None:
        """Brings what is loaded in line with the directory and the operator's plans.

        Args:
            unsettled: see `ModelVersions.update`.
        """
        with self._changing:
            for name in list_names(self._models_dir):
                self._update(name, unsettled)

    def reload(self, name: str, retry_quarantined: bool) -> list[ModelEntry]:
        """Looks at the directory at once.

        Args:
            name: of a model; "" for all.
            retry_quarantined: whether versions are tried again that were found to be bad.

        Returns:
            What there is of them now.

        Raises:
            UnknownModelError: where there is no such model.
            NotReadyError: while the models are being loaded for the first time.
            StoreDownError: where the store cannot be looked at.
        """
        self.check_ready()
        self._look_at_store([name] if name else list_names(self._models_dir), retry_quarantined)
        with self._changing:
            names = list_names(self._models_dir)
            if name and name not in names and name not in self._models:
                raise self._unknown(name)
            for each in [name] if name else names:
                if retry_quarantined and each in self._models:
                    self._models[each].retry_quarantined()
                self._update(each, unsettled=True)
        return [entry for entry in self.entries() if name in ("", entry.name)]

    def change_plan(self, name: str, change: PlanChange) -> list[ModelEntry]:
        """Does what the operator wants, in this process at once and everywhere else with the next look.

        Args:
            name: of the model; "" for the default one.
            change: see `plan_changes`.

        Returns:
            What there is of the model now.

        Raises:
            UnknownModelError: where there is no such model or version.
            ConflictError: where a version that the change names may not serve, or there is nothing to change.
            ServingPlanError: where the plan cannot be written.
            NotReadyError: while the models are being loaded for the first time.
        """
        self.check_ready()
        model = self._models.get(name or self._default_name or "")
        if model is None:
            raise self._unknown(name)
        self._bring_named(model, change)
        with self._changing:
            self._load_named(model, change)
            if self._mirror is None:
                change_plan(self._models_dir / model.name, lambda plan: change(plan, model))
            else:
                self._mirror.change_plan(model.name, lambda plan: change(plan, model))
            self._update(model.name, unsettled=False)
        return [entry for entry in self.entries() if entry.name == model.name]

    def load_model(self, name: str) -> None:
        """Looks at one model at once and brings it back where it was unloaded; what was held against it is forgotten.

        Raises:
            UnknownModelError: where there is no such model.
            ConflictError: where no version of it can be served.
            ServingPlanError: where the plan cannot be written.
            NotReadyError: while the models are being loaded for the first time.
        """
        self.reload(name, retry_quarantined=True)
        if self._is_unloaded(name):
            self.change_plan(name, plan_changes.load())
        if name not in self._routes:
            raise ConflictError(f"no version of model {name!r} can be served: {self._reason(name)}")

    def unload_model(self, name: str) -> None:
        """Takes a model out of service, here and everywhere else on the directory, until it is loaded again.

        Raises:
            UnknownModelError: where there is no such model.
            ServingPlanError: where the plan cannot be written.
            NotReadyError: while the models are being loaded for the first time.
        """
        self.change_plan(name, plan_changes.unload())

    def unloaded_names(self) -> list[str]:
        """The models that are out of service because somebody wanted that."""
        return sorted(name for name in list(self._models) if self._is_unloaded(name))

    def select(
        self, name: str = "", version: int | None = None, alias: str | None = None, user_id: int = 0
    ) -> LoadedModel:
        """The version that answers a request.

        Args:
            name: of the model; "" for the default one.
            version: a number; None for the current one.
            alias: a name that the operator has given to a version.
            user_id: whom it is for.

        Raises:
            UnknownModelError: where it is not served.
            NotReadyError: while the models are being loaded.
        """
        return self._routes_of(name).select(version, alias, user_id)

    def shadow(self, answered: LoadedModel, chance: float) -> LoadedModel | None:
        """The version that is to score too what `answered` has answered; None where there is none.

        Args:
            answered: which version has answered.
            chance: 0 to below 1, drawn for this request.
        """
        routes = self._routes.get(answered.name)
        return None if routes is None else routes.shadow_of(answered, chance)

    def check_ready(self) -> None:
        """Refuses requests while the models are being loaded.

        Raises:
            NotReadyError: then.
        """
        if not self._ready:
            raise NotReadyError("the server is loading its models; try again later")

    def entries(self) -> list[ModelEntry]:
        """Every version that is loaded, being loaded or quarantined, by name, newest first."""
        found = [entry for model in list(self._models.values()) for entry in list(model.entries.values())]
        return sorted(found, key=lambda entry: (entry.name, -entry.version))

    def entries_of(self, name: str) -> list[ModelEntry]:
        """Those of one model; "" for the default one.

        Raises:
            UnknownModelError: where there is none.
            NotReadyError: while the models are being loaded.
        """
        self.check_ready()
        wanted = name or self._default_name
        entries = [entry for entry in self.entries() if entry.name == wanted]
        if not entries:
            raise self._unknown(name)
        return entries

    def directory_of(self, name: str) -> Path:
        """Where the versions of a model lie, whether or not there are any."""
        return self._models_dir / name

    def entry(self, name: str, version: int | None, alias: str | None) -> ModelEntry:
        """One version, also one that does not answer where its number is given.

        Raises:
            UnknownModelError: where there is none.
            NotReadyError: while the models are being loaded.
        """
        model = self._models.get(name or self._default_name or "")
        if model is not None and version is not None and (entry := model.entries.get(version)) is not None:
            return entry
        loaded = self._routes_of(name).select(version, alias)
        return self._models[loaded.name].entries[loaded.version]

    def roles(self, entry: ModelEntry) -> Roles:
        """What an entry is there for."""
        return self._models[entry.name].roles(entry.version, is_default=entry.name == self._default_name)

    def served(self) -> list[LoadedModel]:
        """The current versions, by name of the model."""
        routes = self._routes
        return [routes[name].current for name in sorted(routes)]

    def _is_unloaded(self, name: str) -> bool:
        model = self._models.get(name)
        return model is not None and model.plan.unloaded

    def _reason(self, name: str) -> str:
        """Why no version of a model answers."""
        return next((entry.message for entry in self.entries() if entry.name == name), "it has none")

    def _look_at_store(self, names: list[str], retry_quarantined: bool) -> None:
        if self._mirror is None:
            return
        try:
            for name in names if retry_quarantined else ():
                self._mirror.forget_refused(name)
            self._mirror.look()
        except StoreError as error:
            raise StoreDownError(str(error)) from error

    def _bring_named(self, model: ModelVersions, change: PlanChange) -> None:
        """What is to serve is copied from the store first, beside all else."""
        if self._mirror is None:
            return
        with suppress(ConflictError, UnknownModelError):  # of which those say more who load them
            named = change(model.current_plan(), model).named_versions
            try:
                self._mirror.require(model.name, named)
            except StoreError as error:
                raise StoreDownError(str(error)) from error

    def _load_named(self, model: ModelVersions, change: PlanChange) -> None:
        """What is to serve is loaded before the plan says so: a plan that cannot be followed helps nobody."""
        plan = change(model.current_plan(), model)
        while True:
            try:
                for version in sorted(plan.named_versions):
                    model.require(version, self._load)
            except ConflictError:
                # A roll-back may have another version to go to, now that this one is known to be bad.
                before, plan = plan, change(model.current_plan(), model)
                if plan == before:
                    raise
            else:
                return

    def _update(self, name: str, unsettled: bool) -> None:
        model = self._models.get(name)
        if model is None:
            pinned = self._version if name == self._default_name else None
            model = self._models[name] = ModelVersions(self._models_dir, name, self._keep, pinned)
        if model.update(self._load, unsettled, self._routes_changed):
            for listener in self._listeners:
                listener()

    def _routes_changed(self, model: ModelVersions) -> None:
        """The one step in which a model's requests go to other versions."""
        if self._tell_swap is not None and model.routes is not None:
            from rankserve_server.tracing.load_trace import swap_traced

            with swap_traced(model.name, str(model.routes.current.version), self._tell_swap):
                self._take_over(model)
        else:
            self._take_over(model)

    def _take_over(self, model: ModelVersions) -> None:
        others = {name: routes for name, routes in self._routes.items() if name != model.name}
        self._routes = others if model.routes is None else {**others, model.name: model.routes}

    def _routes_of(self, name: str) -> "Routes":
        self.check_ready()
        routes = self._routes.get(name or self._default_name or "")
        if routes is None:
            raise self._unknown(name)
        return routes

    def _unknown(self, name: str) -> UnknownModelError:
        wanted = name or self._default_name or ""
        if self._is_unloaded(wanted):
            text = "is not served: it is unloaded, until it is loaded again or a version of it is promoted"
            return UnknownModelError(wanted, f"model {wanted!r} {text}")
        served = ", ".join(sorted(self._routes)) or "none"
        if name:
            return UnknownModelError(name, f"model {name!r} is not served; these are: {served}")
        return UnknownModelError("", f"no model was named and there is no default one; name one of: {served}")
