"""The versions of one model: brings what is loaded in line with the directory and the operator's plan."""

import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from rankserve_server.errors import ConflictError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.machine import MachineError
from rankserve_server.versions.entry import ModelEntry, ModelState, Roles
from rankserve_server.versions.quarantine import Quarantine, signature_of
from rankserve_server.versions.routes import LoadedShare, Routes
from rankserve_server.versions.serving_plan import ServingPlan, ServingPlanError, Share, read_plan
from rankserve_training.artifact import ArtifactError, list_versions

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)
_PERCENT = 100


class Load(Protocol):
    """Loads MODELS_DIR/NAME/VERSION; see `VersionLoader.load`."""

    def __call__(self, directory: Path, beside_serving: bool) -> LoadedModel: ...


class ModelVersions:
    """One model. Only one thread at a time changes it; what the others read is replaced in one step.

    Attributes:
        name: of the model.
        entries: every version that is loaded, being loaded or quarantined, by number.
        routes: which version answers; None before one is loaded.
        plan: the operator's, as it was last read.
    """

    def __init__(self, models_dir: Path, name: str, keep: int, pinned: int | None = None) -> None:
        """Looks at nothing yet.

        Args:
            models_dir: where versions lie.
            name: of the model.
            keep: how many of the newest versions are kept loaded beside those that the plan names; 0 for all.
            pinned: the version that is pinned in this process, whatever the plan says; None for what that says.
        """
        self.name = name
        self.entries: dict[int, ModelEntry] = {}
        self.routes: Routes | None = None
        self.plan = ServingPlan()
        self._directory = models_dir / name
        self._keep = keep
        self._pinned = pinned
        self._quarantine = Quarantine(self._directory)
        self._seen: dict[int, str] = {}
        self._on_disk: list[int] = []
        self._said = ""

    @property
    def current_version(self) -> int | None:
        """The version that answers requests that name none; None where none does."""
        return None if self.routes is None else self.routes.current.version

    def update(self, load: Load, unsettled: bool, on_routes: "Callable[[ModelVersions], None]") -> bool:
        """Loads what should answer and does not yet, swaps, and lets go of what should not any more.

        Args:
            load: loads one version.
            unsettled: whether versions are tried whose files have changed since the last look: false while the server
                watches, when they may still be being copied.
            on_routes: called whenever `routes` has been replaced.

        Returns:
            Whether anything is other than it was.
        """
        before = (self.routes, self.plan, self.entries)
        self.plan = self.current_plan()
        self._on_disk = list_versions(self._directory)
        signatures = {version: signature_of(self._directory / str(version)) for version in self._on_disk}
        settled = {v for v, signature in signatures.items() if unsettled or self._seen.get(v) == signature}
        self._seen = signatures
        self._note_quarantined(settled)
        tried: set[int] = set()
        while (wanted := self._wanted(settled)) and (missing := self._first_missing(wanted, tried)) is not None:
            tried.add(missing)
            self._try(missing, load)
            # As soon as something can answer that could not: the others may take a while.
            self._swap(self._wanted(settled), on_routes)
        self._swap(wanted, on_routes)
        self._let_go(wanted)
        if (self.routes, self.plan, self.entries) == before:
            return False
        # What was loaded is looked through by no collection any more, and what was let go of is freed without one.
        gc.freeze()
        return True

    def require(self, version: int, load: Load) -> None:
        """Loads a version that is about to be needed.

        Raises:
            UnknownModelError: where it is not on disk.
            ConflictError: where it may not serve.
        """
        if self._loaded(version):
            return
        if version not in list_versions(self._directory):
            raise UnknownModelError(f"{self.name}/{version}", f"model {self.name!r} has no version {version}")
        reason = self._quarantine.reason(version)
        if reason is None:
            self._try(version, load)
            reason = self.entries[version].message
        if not self._loaded(version):
            raise ConflictError(f"version {version} of model {self.name!r} cannot be served: {reason}")

    def older_than(self, version: int) -> int | None:
        """The newest version below this one that may serve, loaded or not; None where there is none."""
        older = [v for v in self._on_disk if v < version]
        return next((v for v in reversed(older) if self._quarantine.reason(v) is None), None)

    def current_plan(self) -> ServingPlan:
        """The plan on disk, or the last one that could be read."""
        try:
            plan = read_plan(self._directory)
        except ServingPlanError as error:
            if str(error) != self._said:
                _log.error("The serving plan of %s stays as it was: %s", self.name, error)
            self._said = str(error)
            return self.plan
        self._said = ""
        return plan if self._pinned is None else msgspec.structs.replace(plan, pinned=self._pinned)

    def retry_quarantined(self) -> None:
        """Forgets what was held against versions."""
        self._quarantine.clear()
        self.entries = {v: entry for v, entry in self.entries.items() if entry.state is ModelState.READY}

    def roles(self, version: int, is_default: bool) -> Roles:
        """What a version is there for; `is_default` is whether the model is the default one."""
        plan = self.plan
        is_current = self.current_version == version
        aliases = self.routes.aliases if self.routes is not None else {}
        return Roles(
            is_current=is_current,
            is_default=is_current and is_default,
            is_pinned=plan.pinned == version,
            aliases=tuple(sorted(alias for alias, model in aliases.items() if model.version == version)),
            canary_percent=_percent_of(plan.canary, version),
            shadow_percent=_percent_of(plan.shadow, version),
        )

    def _wanted(self, settled: set[int]) -> list[int]:
        """Versions that should be loaded, the current one first."""
        if self.plan.unloaded:
            return []
        usable = [v for v in reversed(self._on_disk) if self._loaded(v) or (v in settled and self._may_serve(v))]
        pinned = self.plan.pinned
        # Where the pinned one may not serve, older ones step in before newer ones.
        order = usable if pinned is None else sorted(usable, key=lambda v: (v != pinned, v > pinned, -v))
        kept = order[: self._keep] if self._keep else order
        named = [v for v in sorted(self.plan.named_versions) if v in usable]
        return list(dict.fromkeys([*order[:1], *named, *kept]))

    def _first_missing(self, wanted: list[int], tried: set[int]) -> int | None:
        return next((v for v in wanted if v not in tried and not self._loaded(v)), None)

    def _may_serve(self, version: int) -> bool:
        return self._quarantine.reason(version) is None

    def _note_quarantined(self, settled: set[int]) -> None:
        """Shows what an earlier look, or an earlier server, has found."""
        for version in settled:
            if not self._loaded(version) and (found := self._quarantine.entry(version)) is not None:
                self._note(version, ModelState.FAILED, found.reason, fault=found.fault)

    def _try(self, version: int, load: Load) -> None:
        self._note(version, ModelState.LOADING)
        directory = self._directory / str(version)
        signature = signature_of(directory)
        try:
            model = load(directory, beside_serving=self.routes is not None)
        except ArtifactError as error:
            durable = not isinstance(error, MachineError)
            self._quarantine.add(version, str(error), signature, durable, error.fault)
            self._note(version, ModelState.FAILED, str(error), fault=error.fault)
            _log.error("%s/%d cannot be served: %s", self.name, version, error)
        except BaseException:  # the server stops
            self.entries = {v: entry for v, entry in self.entries.items() if v != version}
            raise
        else:
            self._note(version, ModelState.READY, model=model)

    def _note(
        self,
        version: int,
        state: ModelState,
        message: str = "",
        model: LoadedModel | None = None,
        fault: str = "",
    ) -> None:
        known = self.entries.get(version)
        if known is None or (known.state, known.message, known.model) != (state, message, model):
            self.entries = {**self.entries, version: ModelEntry(self.name, version, state, message, model, fault)}

    def _swap(self, wanted: list[int], on_routes: "Callable[[ModelVersions], None]") -> None:
        """Replaces the routes, where anything that is wanted is loaded; takes them away where nothing is to be."""
        if self.plan.unloaded:
            self._take_routes(on_routes)
            return
        loaded = {v: model for v in wanted if (model := self._model(v)) is not None}
        if not loaded:
            return
        plan = self.plan
        routes = Routes(
            current=next(iter(loaded.values())),
            versions=loaded,
            aliases={alias: loaded[v] for alias, v in plan.aliases.items() if v in loaded},
            canary=_loaded_share(plan.canary, loaded),
            shadow=_loaded_share(plan.shadow, loaded),
        )
        if routes == self.routes:
            return
        before, self.routes = self.current_version, routes
        on_routes(self)
        if before is not None and before != routes.current.version:
            _log.info("%s: version %d answers now, before it was %d.", self.name, routes.current.version, before)

    def _take_routes(self, on_routes: "Callable[[ModelVersions], None]") -> None:
        if self.routes is not None:
            self.routes = None
            on_routes(self)
            _log.info("%s: it is unloaded, and no version answers any more.", self.name)

    def _let_go(self, wanted: list[int]) -> None:
        """What is not wanted is freed with the last request that it answers."""
        if not self.plan.unloaded and not any(map(self._loaded, wanted)):
            return  # better an old version than none, as where the directory has gone with its mount
        over = {v for v in self.entries if v not in (wanted if self._loaded(v) else self._on_disk)}
        if over:
            self.entries = {v: entry for v, entry in self.entries.items() if v not in over}

    def _model(self, version: int) -> LoadedModel | None:
        entry = self.entries.get(version)
        return None if entry is None else entry.model

    def _loaded(self, version: int) -> bool:
        return self._model(version) is not None


def _loaded_share(share: Share | None, loaded: dict[int, LoadedModel]) -> LoadedShare | None:
    if share is None or share.version not in loaded:
        return None
    return LoadedShare(loaded[share.version], share.percent / _PERCENT)


def _percent_of(share: Share | None, version: int) -> float:
    return 0.0 if share is None or share.version != version else share.percent
