"""Which models a server has, and which of their versions answers a request."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rankserve_server.errors import NotReadyError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.versions.model_versions import Load, ModelEntry, ModelVersions
from rankserve_server.versions.routes import Routes
from rankserve_server.versions.serving_plan import ServingPlan, change_plan
from rankserve_training.artifact import ArtifactError, list_names

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Repository:
    """The models of a directory. Any thread may select; what changes them is done one at a time."""

    def __init__(self, models_dir: Path, default_name: str | None, keep: int, load: Load) -> None:
        """Looks at nothing yet.

        Args:
            models_dir: where versions lie.
            default_name: which model answers requests that name none.
            keep: see `ModelVersions`.
            load: loads one version.
        """
        self._models_dir = models_dir
        self._default_name = default_name
        self._keep = keep
        self._load = load
        self._models: dict[str, ModelVersions] = {}
        self._routes: dict[str, Routes] = {}
        self._ready = False
        self._changing = threading.Lock()

    def load(self) -> None:
        """Loads for the first time.

        Raises:
            ArtifactError: where there is no model, none can be served, or the default one cannot.
        """
        names = list_names(self._models_dir)
        if not names:
            raise ArtifactError(
                f"{self._models_dir} holds no model; publish one with: rankserve train --models-dir {self._models_dir}"
            )
        if self._default_name is None and len(names) == 1:
            self._default_name = names[0]
        if self._default_name is not None and self._default_name not in names:
            raise ArtifactError(f"the default model {self._default_name!r} is none of: {', '.join(names)}")
        self.update(unsettled=True)
        needed = self._default_name or names[0]
        if needed not in self._routes and (self._default_name or not self._routes):
            messages = [entry.message for entry in self.entries() if entry.name == needed]
            reason = messages[0] if messages else "it has none"
            raise ArtifactError(f"no version of model {needed!r} can be served: {reason}")
        self._ready = True

    def update(self, unsettled: bool = False, retry_quarantined: bool = False) -> None:
        """Brings what is loaded in line with the directory and the plans; see `ModelVersions.update`."""
        with self._changing:
            for name in list_names(self._models_dir):
                model = self._models.setdefault(name, ModelVersions(self._models_dir, name, self._keep))
                if retry_quarantined:
                    model.retry_quarantined()
                model.update(self._load, unsettled)
                if model.routes is not None:
                    self._routes = {**self._routes, name: model.routes}

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
        self.check_ready()
        routes = self._routes.get(name or self._default_name or "")
        if routes is None:
            raise self._unknown(name)
        return routes.select(version, alias, user_id)

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

    def served(self) -> list[LoadedModel]:
        """The current versions, by name of the model."""
        routes = self._routes
        return [routes[name].current for name in sorted(routes)]

    def change_plan(self, name: str, change: Callable[[ServingPlan, ModelVersions], ServingPlan]) -> None:
        """Writes a new plan for a model and brings what is loaded in line with it.

        Raises:
            UnknownModelError: where there is no such model.
            ServingPlanError: where it cannot be written.
        """
        self.check_ready()
        model = self._models.get(name or self._default_name or "")
        if model is None:
            raise self._unknown(name)
        change_plan(self._models_dir / model.name, lambda plan: change(plan, model))
        self.update()

    def _unknown(self, name: str) -> UnknownModelError:
        served = ", ".join(sorted(self._routes))
        if name:
            return UnknownModelError(name, f"model {name!r} is not served; these are: {served}")
        return UnknownModelError("", f"no model was named and there is no default one; name one of: {served}")
