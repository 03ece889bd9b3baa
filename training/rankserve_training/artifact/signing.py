"""Who has published a version: an Ed25519 signature of its manifest, which has the hash of every other file.

`manifest.json.sig` holds the 64 bytes that `openssl pkeyutl -sign -rawin` makes too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_training.artifact.errors import ArtifactError, UntrustedError
from rankserve_training.artifact.manifest import MANIFEST_FILE, SIGNATURE_FILE

if TYPE_CHECKING:
    # Imported where it is used: most versions are neither signed nor checked.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_SIGNATURE_BYTES = 64


def read_signing_key(path: Path) -> "Ed25519PrivateKey":
    """A private key, as `openssl genpkey -algorithm ed25519` writes it.

    Raises:
        ArtifactError: where the file cannot be used.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _content(path)
    try:
        key = load_pem_private_key(content, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:  # encrypted, or no key at all
        raise ArtifactError(f"{path} is not the PEM file of a private key without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ArtifactError(
            f"{path} is not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519 -out FILE"
        )
    return key


def read_trusted_keys(paths: Sequence[Path]) -> "tuple[Ed25519PublicKey, ...]":
    """Public keys, as `openssl pkey -in PRIVATE -pubout` writes them, one in each file.

    Raises:
        ArtifactError: where a file cannot be used.
    """
    return tuple(map(_trusted_key, paths))


def sign(content: bytes, key: "Ed25519PrivateKey") -> bytes:
    """The signature of a manifest."""
    return key.sign(content)


def verify_signature(directory: Path, manifest: bytes, trusted_keys: "Sequence[Ed25519PublicKey]") -> None:
    """Makes sure that one of the keys has signed a version.

    Args:
        directory: of the version.
        manifest: the content of its manifest, and not its file: it must not change between this check and its use.
        trusted_keys: one or more.

    Raises:
        UntrustedError: where there is no signature, or none of these keys has made it.
    """
    from cryptography.exceptions import InvalidSignature

    path = directory / SIGNATURE_FILE
    if not path.is_file():
        raise UntrustedError(
            f"{directory} is not signed, and only signed versions are trusted: {SIGNATURE_FILE} is missing"
        )
    if path.stat().st_size == _SIGNATURE_BYTES:
        signature = _content(path)
        for key in trusted_keys:
            try:
                key.verify(signature, manifest)
            except InvalidSignature:
                continue
            return
    raise UntrustedError(f"{path} is not the signature of {MANIFEST_FILE} by a trusted key")


def _trusted_key(path: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _content(path)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ArtifactError(f"{path} is not the PEM file of a public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ArtifactError(f"{path} is not an Ed25519 key")
    return key


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
