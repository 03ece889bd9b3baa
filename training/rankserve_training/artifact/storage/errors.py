"""What goes wrong with a store."""

from rankserve_training.artifact.errors import ArtifactError


class StoreError(ArtifactError):
    """A store, or the cache of one, cannot be used now. It says nothing against a version: another try may succeed."""

    fault = "store"


class TakenError(StoreError):
    """Somebody else has written the object meanwhile."""
