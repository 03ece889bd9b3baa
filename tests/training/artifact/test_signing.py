"""Signed versions: only what a trusted key has signed, and byte for byte that."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from rankserve_training.artifact import ArtifactError, publish, read_artifact
from rankserve_training.artifact.signing import read_signing_key, read_trusted_keys
from training.small_version import publish_small, small_manifest, write_small_files

SIGNATURE = "manifest.json.sig"


@pytest.fixture(scope="module")
def keys() -> tuple[Ed25519PrivateKey, Ed25519PrivateKey]:
    return Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey]) -> Path:
    return publish(tmp_path / "models", "small", write_small_files, small_manifest(), keys[0])


@pytest.fixture
def trusted(keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey]) -> tuple[Ed25519PublicKey, ...]:
    return (keys[0].public_key(),)


def refusal(version: Path, trusted: tuple[Ed25519PublicKey, ...]) -> str:
    with pytest.raises(ArtifactError) as caught:
        read_artifact(version, trusted)
    return str(caught.value)


def test_a_trusted_signature(
    signed: Path, trusted: tuple[Ed25519PublicKey, ...], keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey]
) -> None:
    assert read_artifact(signed, trusted).manifest.version == 1
    assert read_artifact(signed, (keys[1].public_key(), *trusted)).manifest.version == 1
    assert read_artifact(signed).manifest.version == 1, "nobody has to look"


def test_a_version_that_is_not_signed(tmp_path: Path, trusted: tuple[Ed25519PublicKey, ...]) -> None:
    assert "is not signed" in refusal(publish_small(tmp_path / "models"), trusted)


def test_a_signature_by_somebody_else(signed: Path, keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey]) -> None:
    assert "is not the signature of manifest.json by a trusted key" in refusal(signed, (keys[1].public_key(),))


@pytest.mark.parametrize("change", ["a bit", "cut short", "longer", "empty", "another version's"])
def test_a_signature_that_is_broken(
    signed: Path,
    trusted: tuple[Ed25519PublicKey, ...],
    keys: tuple[Ed25519PrivateKey, Ed25519PrivateKey],
    change: str,
) -> None:
    path = signed / SIGNATURE
    good = path.read_bytes()
    other = publish(signed.parent.parent, "small", write_small_files, small_manifest(), keys[0]) / SIGNATURE
    path.write_bytes(
        {
            "a bit": bytes([good[0] ^ 1]) + good[1:],
            "cut short": good[:-1],
            "longer": good + b"\n",
            "empty": b"",
            "another version's": other.read_bytes(),
        }[change]
    )
    assert "is not the signature" in refusal(signed, trusted)


def test_a_manifest_that_is_changed(signed: Path, trusted: tuple[Ed25519PublicKey, ...]) -> None:
    manifest = signed / "manifest.json"
    content = manifest.read_bytes()
    manifest.write_bytes(content.replace(b'"test_rmse": 1.25', b'"test_rmse": 1.15'))
    assert manifest.read_bytes() != content
    assert "is not the signature" in refusal(signed, trusted)
    manifest.write_bytes(content + b"\n")
    assert "is not the signature" in refusal(signed, trusted)


def test_keys_and_signatures_are_those_of_openssl(tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    _openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
    _openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    version = publish(tmp_path / "models", "small", write_small_files, small_manifest(), read_signing_key(private))
    read_artifact(version, read_trusted_keys([public]))
    verify = ("-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", str(version / "manifest.json"))
    _openssl("pkeyutl", *verify, "-sigfile", str(version / SIGNATURE))


@pytest.mark.parametrize("content", [None, b"", b"no key", "rsa", "public"])
def test_keys_that_are_none(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "key.pem"
    if content == "rsa":
        _openssl("genpkey", "-algorithm", "rsa", "-out", str(path))
    elif content == "public":
        _openssl("genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "private.pem"))
        _openssl("pkey", "-in", str(tmp_path / "private.pem"), "-pubout", "-out", str(path))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"key\.pem"):
        read_signing_key(path)
    if content != "public":
        with pytest.raises(ArtifactError, match=r"key\.pem"):
            read_trusted_keys([path])


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
