"""Keeps a directory in line with a store: the versions that are needed, each verified, and the operator's plans.

The directory has the layout of MODELS_DIR, so that all else (loading, quarantine, roles, swapping) is as on a disk.
Several processes may share it: one at a time changes it.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rankserve_server.errors import StoreDownError
from rankserve_server.storage.refused import Refused, note_refused, refused_of
from rankserve_server.storage.stored_plan import change_stored_plan, copy_stored_plan
from rankserve_server.versions.quarantine import Quarantine
from rankserve_server.versions.serving_plan import ServingPlan, ServingPlanError, read_plan
from rankserve_training.artifact import ArtifactError, list_names, list_versions
from rankserve_training.artifact.manifest import MANIFEST_FILE
from rankserve_training.artifact.storage.errors import StoreError
from rankserve_training.artifact.storage.fetching import (
    UNFINISHED,
    cache_locked,
    fetch_version,
    is_copy,
    local_failures,
    nothing_to_check,
)
from rankserve_training.artifact.storage.store import Store, StoredVersion

_log = logging.getLogger(__name__)
_REMOVED = ".removing-"
_LOOKED = ".looked"
# A version that is about to be named by a plan is not removed meanwhile; loading it takes no longer than this.
_NEEDED = ".needed-"
_NEEDED_SECONDS = 600.0


class Mirror:
    """The copy of a store in a cache directory. Any thread may call it.

    Attributes:
        looked: when the store was last looked at with success, in seconds since 1970; 0 for never.
        failures: how many looks have failed.
        fetched: how many versions were copied.
    """

    def __init__(
        self,
        url: str,
        cache: Path,
        keep: int,
        largest: int,
        checkpoint: Callable[[], None] = nothing_to_check,
    ) -> None:
        """Asks the store nothing yet.

        Args:
            url: of the store.
            cache: the directory that is kept in line with it.
            keep: how many of the newest versions a server holds; 0 for all.
            largest: bytes that a version may have.
            checkpoint: called again and again; what it raises gives a look up.
        """
        self.url = url
        self.looked = 0.0
        self.failures = 0
        self.fetched = 0
        self._cache = cache
        self._keep = keep
        self._largest = largest
        self._checkpoint = checkpoint
        # The tags of the manifests that copies were compared with.
        self._compared: dict[Path, str] = {}
        self._opened: Store | None = None
        self._opening = threading.Lock()
        self._looking = threading.Lock()

    def start(self) -> None:
        """Looks for the first time; where the store cannot be used, what is in the cache has to do.

        Raises:
            StoreError: where there is nothing in the cache.
        """
        try:
            self.look()
        except StoreError as error:
            if not list_names(self._cache):
                raise
            _log.warning("Starting with the versions in %s, as the store cannot be used: %s", self._cache, error)

    def look(self, fresher_than: float = 0.0) -> None:
        """Brings the cache in line with the store.

        Args:
            fresher_than: nothing is done where another process on the cache has looked within so many seconds.

        Raises:
            StoreError: where the store or the disk does not do it. What could be done has been.
        """
        with self._looking, self._counted(), cache_locked(self._cache, self._checkpoint):
            if fresher_than and self._age() < fresher_than:
                self.looked = time.time() - self._age()
                return
            self._remove_unfinished()
            found = self._store.versions()
            failures = [error for name, stored in found.items() if (error := self._tried(name, stored)) is not None]
            if failures:
                raise failures[0]
            with local_failures(self._cache):
                (self._cache / _LOOKED).touch()
            self.looked = time.time()

    def require(self, name: str, versions: set[int]) -> None:
        """Copies versions that are about to be needed and that the store has.

        Raises:
            StoreError: where the store or the disk does not do it.
        """
        model_dir = self._cache / name
        missing = versions - set(list_versions(model_dir))
        if not missing:
            return
        with self._looking, cache_locked(self._cache, self._checkpoint):
            stored = self._store.versions(name).get(name, {})
            for version in sorted(missing & stored.keys()):
                with local_failures(model_dir):
                    (model_dir / f"{_NEEDED}{version}").touch()
                self._bring(name, version, stored[version])

    def forget_refused(self, name: str) -> None:
        """Removes what was found to be bad, so that it is copied anew: also where the copy was damaged here.

        Raises:
            StoreError: where the cache cannot be written.
        """
        model_dir = self._cache / name
        quarantine = Quarantine(model_dir)
        with self._looking, cache_locked(self._cache, self._checkpoint):
            for version in list_versions(model_dir):
                if refused_of(model_dir / str(version)) or quarantine.reason(version) is not None:
                    self._remove(model_dir / str(version))

    def change_plan(self, name: str, change: Callable[[ServingPlan], ServingPlan]) -> None:
        """See `change_stored_plan`.

        Raises:
            StoreDownError: where the store does not take it.
            ServingPlanError: where what lies there is no plan.
        """
        try:
            store = self._store
        except StoreError as error:
            raise StoreDownError(f"the plan of {name} stays as it is: {error}") from error
        change_stored_plan(store, self._cache / name, change)

    @property
    def _store(self) -> Store:
        with self._opening:
            if self._opened is None:
                self._opened = Store(self.url)
            return self._opened

    @contextmanager
    def _counted(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            self.failures += 1
            raise

    def _age(self) -> float:
        try:
            return max(0.0, time.time() - (self._cache / _LOOKED).stat().st_mtime)
        except OSError:
            return float("inf")

    def _tried(self, name: str, stored: Mapping[int, StoredVersion]) -> StoreError | None:
        """One model: what fails with it is no other's fault."""
        try:
            self._bring_model(name, stored)
        except StoreError as error:
            return error
        return None

    def _bring_model(self, name: str, stored: Mapping[int, StoredVersion]) -> None:
        model_dir = self._cache / name
        with local_failures(model_dir):
            model_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            copy_stored_plan(self._store, model_dir)
            wanted = (_named(model_dir) | _needed(model_dir)) & stored.keys()
        for version in sorted(wanted):
            self._bring(name, version, stored[version])
        usable, quarantine = 0, Quarantine(model_dir)
        for version in _order(model_dir, stored):
            # One more than a server holds, to go back to.
            if self._keep and usable > self._keep:
                break
            wanted.add(version)
            self._bring(name, version, stored[version])
            usable += quarantine.reason(version) is None
        self._remove_unneeded(model_dir, wanted)

    def _bring(self, name: str, version: int, stored: StoredVersion) -> None:
        target = self._cache / name / str(version)
        tag = _tag_of(stored)
        known = refused_of(target)
        if target.is_dir() and (known.holds_for(tag) if known is not None else self._is_same(target, stored)):
            return
        try:
            fetch_version(self._store, stored, target, self._largest, self._checkpoint)
        except StoreError:
            raise
        except ArtifactError as error:
            _log.error("%s/%d of the store cannot be served: %s", name, version, error)
            if target.exists():
                self._remove(target)
            with local_failures(target):
                note_refused(target, Refused.of(str(error), error.fault, tag))
        else:
            self._compared[target] = stored[MANIFEST_FILE].tag
            self.fetched += 1
            _log.info("Copied %s/%d from %s.", name, version, self.url)

    def _is_same(self, target: Path, stored: StoredVersion) -> bool:
        """Whether the copy is what the store has; looked at once, and whenever the store's manifest was written."""
        tag = stored[MANIFEST_FILE].tag
        if self._compared.get(target) == tag:
            return True
        if not is_copy(self._store, stored, target):
            _log.warning(
                "The copy of %s/%s/%s is not what the store has: it was damaged here, or the store has another version "
                "under its number, which should never be. It is copied anew, and served from when it is loaded again.",
                self.url,
                target.parent.name,
                target.name,
            )
            return False
        self._compared[target] = tag
        return True

    def _remove_unneeded(self, model_dir: Path, wanted: set[int]) -> None:
        """What is past the policy or gone from the store, once there is something to serve without it."""
        quarantine = Quarantine(model_dir)
        here = list_versions(model_dir)
        if not any(version in wanted and quarantine.reason(version) is None for version in here):
            return
        for version in here:
            if version not in wanted:
                self._remove(model_dir / str(version))
                quarantine.forget(version)
                _log.info("Removed %s/%d from the cache.", model_dir.name, version)

    def _remove(self, version_dir: Path) -> None:
        """In one step for who reads."""
        with local_failures(version_dir):
            going = version_dir.with_name(f"{_REMOVED}{version_dir.name}-{time.monotonic_ns()}")
            version_dir.rename(going)
        shutil.rmtree(going, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        """What was left by those who were killed: nobody else is at it, as the cache is locked."""
        for prefix in (UNFINISHED, _REMOVED):
            for path in self._cache.glob(f"*/{prefix}*"):
                shutil.rmtree(path, ignore_errors=True)


def _plan(model_dir: Path) -> ServingPlan:
    try:
        return read_plan(model_dir)
    except ServingPlanError:  # whoever serves by it says so
        return ServingPlan()


def _order(model_dir: Path, stored: Mapping[int, StoredVersion]) -> list[int]:
    """As a server prefers them: from the newest to the oldest, or from the pinned one to the oldest and then others."""
    pinned = _plan(model_dir).pinned
    return sorted(stored, key=lambda v: (v != pinned, pinned is not None and v > pinned, -v))


def _named(model_dir: Path) -> set[int]:
    plan = _plan(model_dir)
    return plan.named_versions | ({plan.previous} if plan.previous is not None else set())


def _needed(model_dir: Path) -> set[int]:
    """What `Mirror.require` has been asked for a moment ago, in this process or another one on the cache."""
    found = set()
    for path in model_dir.glob(f"{_NEEDED}*"):
        if time.time() - path.stat().st_mtime < _NEEDED_SECONDS:
            found.add(int(path.name.removeprefix(_NEEDED)))
        else:
            path.unlink(missing_ok=True)
    return found


def _tag_of(stored: StoredVersion) -> str:
    """Changes whenever an object of the version is written."""
    return "/".join(f"{name}:{item.size}:{item.tag}" for name, item in sorted(stored.items()))
