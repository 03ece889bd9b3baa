"""The versioned directory that training publishes, or `rankserve publish`, and that the server loads.

    MODELS_DIR/NAME/VERSION/
      manifest.json   what the version is, and the size and SHA-256 of every other file
      manifest.json.sig   where the version is signed: see `signing`
      model.keras     the Keras model: rows of its embedding tables in, predicted ratings out; which of the forms of
                      `rankserve_training.model` it has is the manifest's `architecture`
      catalog.npz     the items: ids, titles, genres
      users.npz       the users: ids, and the items that each has rated

A directory appears under its number only when it is complete, and never changes afterwards. Nothing in it is a pickle.
"""

from rankserve_training.artifact.catalog import Catalog, UserTable
from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.artifact.ids import IdIndex
from rankserve_training.artifact.manifest import GoldenRequest, Manifest
from rankserve_training.artifact.publish import publish
from rankserve_training.artifact.reader import Artifact, read_artifact
from rankserve_training.artifact.versions import list_names, list_versions, resolve_version

__all__ = [
    "Artifact",
    "ArtifactError",
    "Catalog",
    "GoldenRequest",
    "IdIndex",
    "Manifest",
    "UserTable",
    "list_names",
    "list_versions",
    "publish",
    "read_artifact",
    "resolve_version",
]
