"""The versions of one model: brings what is loaded in line with the directory and the operator's plan."""

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.versions.quarantine import Quarantine, signature_of
from rankserve_server.versions.routes import Routes
from rankserve_server.versions.serving_plan import ServingPlan, ServingPlanError, read_plan
from rankserve_training.artifact import ArtifactError, list_versions

_log = logging.getLogger(__name__)

# Loads MODELS_DIR/NAME/VERSION; raises ArtifactError where it may not serve.
Load = Callable[[Path], LoadedModel]
_PARTS_OF_A_PERCENT = 100


class ModelState(enum.Enum):
    """Whether a version answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass
class ModelEntry:
    """A version that the server has loaded, is loading or has tried to load.

    Attributes:
        name: of the model.
        version: 1 or more.
        state: whether it answers.
        message: why it does not; empty where it does.
        model: the loaded version; None unless it is ready.
    """

    name: str
    version: int
    state: ModelState = ModelState.LOADING
    message: str = ""
    model: LoadedModel | None = None


class ModelVersions:
    """One model. Only one thread at a time calls `update`; what the others read is replaced in one step.

    Attributes:
        name: of the model.
        entries: every version that is loaded, being loaded or quarantined, by number.
        routes: which version answers; None before one is loaded.
        plan: the operator's, as it was last read.
    """

    def __init__(self, models_dir: Path, name: str, keep: int) -> None:
        """Looks at nothing yet.

        Args:
            models_dir: where versions lie.
            name: of the model.
            keep: how many of the newest versions are kept loaded beside those that the plan names; 0 for all.
        """
        self.name = name
        self.entries: dict[int, ModelEntry] = {}
        self.routes: Routes | None = None
        self.plan = ServingPlan()
        self._directory = models_dir / name
        self._keep = keep
        self._quarantine = Quarantine(self._directory)
        self._seen: dict[int, str] = {}
        self._said = ""

    def update(self, load: Load, unsettled: bool) -> None:
        """Loads what should answer and does not yet, swaps, and lets go of what should not any more.

        Args:
            load: loads one version.
            unsettled: whether versions are tried whose files have changed since the last look: false while the server
                runs, where they may still be being copied.
        """
        self.plan = self._read_plan()
        on_disk = list_versions(self._directory)
        if not on_disk:
            return  # a directory that has gone, as with a lost mount, takes nothing away
        signatures = {version: signature_of(self._directory / str(version)) for version in on_disk}
        settled = {v for v, signature in signatures.items() if unsettled or self._seen.get(v) == signature}
        self._seen = signatures
        tried: set[int] = set()
        while True:
            wanted = self._wanted(on_disk, settled)
            missing = next((v for v in wanted if v not in tried and not self._loaded(v)), None)
            if missing is None:
                break
            tried.add(missing)
            self._try(missing, signatures[missing], load)
            self._swap(wanted)
        self._swap(wanted)
        self._let_go(wanted, on_disk)

    def retry_quarantined(self) -> None:
        """Forgets what was held against versions."""
        self._quarantine.clear()
        self._seen.clear()
        self.entries = {v: entry for v, entry in self.entries.items() if entry.state is ModelState.READY}

    def _read_plan(self) -> ServingPlan:
        try:
            plan = read_plan(self._directory)
        except ServingPlanError as error:
            if str(error) != self._said:
                _log.error("The serving plan of %s stays as it is: %s", self.name, error)
            self._said = str(error)
            return self.plan
        self._said = ""
        return plan

    def _wanted(self, on_disk: list[int], settled: set[int]) -> list[int]:
        """Versions that should be loaded, the current one first."""
        healthy = [v for v in reversed(on_disk) if self._loaded(v) or (v in settled and self._may_serve(v))]
        pinned = self.plan.pinned
        # Where the pinned one may not serve, older ones step in before newer ones.
        order = healthy if pinned is None else sorted(healthy, key=lambda v: (v != pinned, v > pinned, -v))
        kept = order[: self._keep] if self._keep else order
        named = [v for v in sorted(self.plan.named_versions) if v in healthy]
        return list(dict.fromkeys([*order[:1], *named, *kept]))

    def _may_serve(self, version: int) -> bool:
        reason = self._quarantine.reason(version)
        if reason is None:
            return True
        self.entries[version] = ModelEntry(self.name, version, ModelState.FAILED, reason)
        return False

    def _try(self, version: int, signature: str, load: Load) -> None:
        entry = self.entries[version] = ModelEntry(self.name, version)
        try:
            model = load(self._directory / str(version))
        except ArtifactError as error:
            entry.state, entry.message = ModelState.FAILED, str(error)
            self._quarantine.add(version, str(error), signature)
            _log.error("%s/%d is quarantined: %s", self.name, version, error)
        else:
            entry.state, entry.model = ModelState.READY, model

    def _swap(self, wanted: list[int]) -> None:
        """Replaces the routes, where anything that is wanted is loaded."""
        loaded = {v: entry.model for v, entry in self.entries.items() if entry.model is not None}
        current = next((loaded[v] for v in wanted if v in loaded), None)
        if current is None:
            return
        plan = self.plan
        canary = plan.canary and loaded.get(plan.canary.version)
        self.routes = Routes(
            current=current,
            versions={v: loaded[v] for v in wanted if v in loaded},
            aliases={alias: loaded[v] for alias, v in plan.aliases.items() if v in loaded},
            canary=canary,
            canary_parts=round(plan.canary.percent * _PARTS_OF_A_PERCENT) if plan.canary and canary else 0,
        )

    def _let_go(self, wanted: list[int], on_disk: list[int]) -> None:
        """What is not wanted is freed with the last request that it answers."""
        for version, entry in list(self.entries.items()):
            is_ready = entry.state is ModelState.READY
            if (is_ready and version not in wanted and self.routes is not None) or (
                not is_ready and version not in on_disk
            ):
                del self.entries[version]

    def _loaded(self, version: int) -> bool:
        entry = self.entries.get(version)
        return entry is not None and entry.model is not None
