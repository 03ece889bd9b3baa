"""Which models a server has, and which of them answers a request."""

import enum
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rankserve_server.errors import NotReadyError, UnknownModelError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loading import load_version
from rankserve_training.artifact import ArtifactError, list_names, list_versions
from rankserve_training.artifact.signing import read_trusted_keys

_log = logging.getLogger(__name__)


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
        message: why it does not.
        model: the version itself, once it is ready.
    """

    name: str
    version: int
    state: ModelState = ModelState.LOADING
    message: str = ""
    model: LoadedModel | None = None


class Repository:
    """The models below MODELS_DIR. It can be shared between threads once `load` has returned."""

    def __init__(
        self,
        models_dir: Path,
        default_name: str | None,
        max_table_mib: float = math.inf,
        trusted_keys: Sequence[Path] = (),
    ) -> None:
        """Loads nothing yet.

        Args:
            models_dir: where versions lie.
            default_name: which model answers requests that name none.
            max_table_mib: what folding may make the tables of one version take.
            trusted_keys: files of public keys, of which one has to have signed a version; where there are none, nobody.
        """
        self._models_dir = models_dir
        self._default_name = default_name
        self._max_table_mib = max_table_mib
        self._trusted_keys = read_trusted_keys(trusted_keys)
        self._entries: list[ModelEntry] = []
        self._current: dict[str, LoadedModel] = {}
        self._ready = False

    def load(self, checkpoint: Callable[[], None]) -> None:
        """Loads the newest version of every model that can be loaded; a broken one is passed over for an older one.

        Args:
            checkpoint: called between the steps; what it raises ends the loading.

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
        for name in names:
            model = self._load_newest(name, checkpoint)
            if model is not None:
                self._current[name] = model
        needed = self._default_name or names[0]
        if needed not in self._current and (self._default_name or not self._current):
            reason = next(entry.message for entry in self._entries if entry.name == needed)
            raise ArtifactError(f"no version of model {needed!r} can be served: {reason}")
        self._ready = True

    def select(self, name: str = "", version: int | None = None, alias: str | None = None) -> LoadedModel:
        """The version that answers a request.

        Args:
            name: of the model; "" for the default one.
            version: a number; None for the current one.
            alias: a name that the operator has given to a version.

        Raises:
            UnknownModelError: where it is not served.
            NotReadyError: while the models are being loaded.
        """
        self.check_ready()
        model = self._current.get(name or self._default_name or "")
        if model is None:
            raise self._unknown(name)
        if alias is not None:
            raise UnknownModelError(f"{model.name}@{alias}", f"model {model.name!r} has no alias {alias!r}")
        if version is not None and version != model.version:
            raise UnknownModelError(
                f"{model.name}/{version}",
                f"version {version} of model {model.name!r} is not served; version {model.version} is",
            )
        return model

    def check_ready(self) -> None:
        """Refuses requests while the models are being loaded.

        Raises:
            NotReadyError: then.
        """
        if not self._ready:
            raise NotReadyError("the server is loading its models; try again later")

    def entries(self) -> list[ModelEntry]:
        """Every version that was tried, by name, newest first."""
        return sorted(self._entries, key=lambda entry: (entry.name, -entry.version))

    def entry(self, name: str, version: int | None, alias: str | None) -> ModelEntry:
        """One version, also a failed one where its number is given.

        Raises:
            UnknownModelError: where there is none.
            NotReadyError: while the models are being loaded.
        """
        wanted = name or self._default_name
        for entry in self._entries:
            if version is not None and (entry.name, entry.version) == (wanted, version):
                return entry
        model = self.select(name, version, alias)
        return next(entry for entry in self._entries if entry.model is model)

    def is_default(self, entry: ModelEntry) -> bool:
        """Whether requests that name no model go to this version."""
        return entry.name == self._default_name and self._current.get(entry.name) is entry.model is not None

    def served(self) -> list[LoadedModel]:
        """The versions that answer, by name of the model."""
        return [self._current[name] for name in sorted(self._current)]

    def _load_newest(self, name: str, checkpoint: Callable[[], None]) -> LoadedModel | None:
        for version in reversed(list_versions(self._models_dir / name)):
            entry = ModelEntry(name, version)
            self._entries.append(entry)
            try:
                model = load_version(
                    self._models_dir / name / str(version), checkpoint, self._max_table_mib, self._trusted_keys
                )
            except ArtifactError as error:
                entry.state, entry.message = ModelState.FAILED, str(error)
                _log.error("%s/%d cannot be served: %s", name, version, error)
            else:
                entry.state, entry.model = ModelState.READY, model
                return model
        return None

    def _unknown(self, name: str) -> UnknownModelError:
        served = ", ".join(sorted(self._current))
        if name:
            return UnknownModelError(name, f"model {name!r} is not served; these are: {served}")
        return UnknownModelError("", f"no model was named and there is no default one; name one of: {served}")
