"""Reading a version: its signature where one is asked for, sizes and hashes, then the files themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_training.artifact.catalog import Catalog, UserTable
from rankserve_training.artifact.errors import ArtifactError, DamagedError
from rankserve_training.artifact.manifest import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    NEWCOMERS_COLUMNS_FILE,
    NEWCOMERS_ENCODING_FILE,
    NEWCOMERS_FILES,
    NEWCOMERS_MODEL_FILE,
    USERS_FILE,
    IdRange,
    Manifest,
    decode_manifest,
    read_manifest_bytes,
)
from rankserve_training.artifact.publish import file_entry
from rankserve_training.artifact.signing import verify_signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from rankserve_training.model.newcomers import Newcomers


@dataclass(frozen=True)
class Artifact:
    """A version whose files are those that its manifest names.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION.
        manifest: what it is.
        catalog: its items.
        users: its users.
    """

    directory: Path
    manifest: Manifest
    catalog: Catalog
    users: UserTable

    def load_keras_model(self) -> "keras.Model":
        """Loads `model.keras` without running any code of its own.

        Raises:
            ArtifactError: where Keras refuses the file or it does not fit the catalogue.
        """
        from rankserve_training.model.loading import load_ranking_model

        architecture = self.manifest.training.architecture
        return load_ranking_model(self.directory / MODEL_FILE, len(self.users), len(self.catalog), architecture)

    def read_newcomers(self) -> "Newcomers | None":
        """Reads how strangers are described; None where the model knows nothing but ids.

        Raises:
            ArtifactError: where the files do not fit together.
        """
        from rankserve_training.model.newcomers import Newcomers

        present = [name for name in NEWCOMERS_FILES if name in self.manifest.files]
        if not present:
            return None
        if len(present) < len(NEWCOMERS_FILES):
            raise ArtifactError(f"{self.directory}: of {', '.join(NEWCOMERS_FILES)} it has only {', '.join(present)}")
        encoding, columns = self.directory / NEWCOMERS_ENCODING_FILE, self.directory / NEWCOMERS_COLUMNS_FILE
        return Newcomers.read(encoding, columns, len(self.users), len(self.catalog))

    def load_newcomers_model(self, newcomers: "Newcomers") -> "keras.Model":
        """Loads `newcomers.keras`; see `load_keras_model`."""
        from rankserve_training.model.loading import load_newcomers_model

        path = self.directory / NEWCOMERS_MODEL_FILE
        return load_newcomers_model(path, newcomers.user_rows, newcomers.item_rows)


def read_artifact(directory: Path, trusted_keys: "Sequence[Ed25519PublicKey]" = ()) -> Artifact:
    """Reads a version and verifies every file against its manifest before it opens it.

    Args:
        directory: MODELS_DIR/NAME/VERSION.
        trusted_keys: one of them has to have signed the version; where there are none, nobody has to.

    Raises:
        ArtifactError: where something is missing, changed, cut short or does not fit together, or is not signed.
    """
    try:
        return _read_verified(directory.resolve(), trusted_keys)
    except OSError as error:
        raise DamagedError(f"{directory} cannot be read: {error}") from error


def _read_verified(directory: Path, trusted_keys: "Sequence[Ed25519PublicKey]") -> Artifact:
    content = read_manifest_bytes(directory / MANIFEST_FILE)
    if trusted_keys:
        verify_signature(directory, content, trusted_keys)
    manifest = decode_manifest(content, directory / MANIFEST_FILE)
    if (manifest.name, str(manifest.version)) != (directory.parent.name, directory.name):
        raise ArtifactError(
            f"{directory}: its manifest says that it is {manifest.name}/{manifest.version}; a version keeps its name "
            "and number when it is copied"
        )
    for name in manifest.files:
        _verify_file(directory, name, manifest)
    catalog = Catalog.read(directory / CATALOG_FILE)
    users = UserTable.read(directory / USERS_FILE, item_count=len(catalog))
    for kind, entry, count in (("users", manifest.users, len(users)), ("items", manifest.items, len(catalog))):
        _verify_count(directory, kind, entry, count)
    return Artifact(directory, manifest, catalog, users)


def _verify_file(directory: Path, name: str, manifest: Manifest) -> None:
    path = directory / name
    if path.parent != directory:
        raise ArtifactError(f"{directory}: the manifest names {name!r}, which is not a file of this directory")
    if not path.is_file():
        raise DamagedError(f"{path} is missing")
    expected = manifest.files[name]
    size = path.stat().st_size
    if size != expected.size:
        raise DamagedError(f"{path} has {size} bytes, but the manifest says {expected.size}: cut short or changed")
    if file_entry(path).sha256 != expected.sha256:
        raise DamagedError(f"{path} does not have the SHA-256 of its manifest: changed or damaged")


def _verify_count(directory: Path, kind: str, entry: IdRange, count: int) -> None:
    if entry.count != count:
        raise ArtifactError(f"{directory}: the manifest says {entry.count} {kind}, but the file holds {count}")
