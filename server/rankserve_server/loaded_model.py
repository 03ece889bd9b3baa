"""A model version that can answer."""

from dataclasses import dataclass

from rankserve_server.engine.engine import Engine
from rankserve_training.artifact import Catalog, Manifest, UserTable


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A verified, compiled version, held in memory.

    Attributes:
        manifest: what it is.
        catalog: its items.
        users: its users.
        engine: its compiled model.
    """

    manifest: Manifest
    catalog: Catalog
    users: UserTable
    engine: Engine

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """The version, 1 or more."""
        return self.manifest.version
