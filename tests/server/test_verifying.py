"""`rankserve models verify`: passes what a server would serve, and says in one line what is wrong with the rest."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rankserve_server.verifying import verify
from server.two_towers import Published


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(verify, [str(argument) for argument in arguments])


@pytest.fixture
def copied(published: Published, tmp_path: Path) -> Path:
    """A version that a test may change."""
    target = tmp_path / "models" / "towers" / "1"
    shutil.copytree(published.directory, target)
    return target


def refusal(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert "may be served" not in result.stdout
    return result.stderr


def test_a_version_and_a_signature(copied: Path, tmp_path: Path) -> None:
    private, public, other = (tmp_path / name for name in ("private.pem", "public.pem", "other.pem"))
    for written in (other, public):  # the last private key is that of `public`
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", written], check=True)
    assert "is not signed" in refusal(copied, "--trusted-key", public)
    signing: list[str | Path] = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", private]
    manifest = copied / "manifest.json"
    subprocess.run([*signing, "-in", manifest, "-out", copied / "manifest.json.sig"], check=True)
    assert "by a trusted key" in refusal(copied, "--trusted-key", other)
    result = run(copied.parent, "--trusted-key", public)  # of the model: its newest version
    assert result.exit_code == 0, result.output
    words = [line.split()[0] for line in result.stdout.splitlines()]
    assert words == ["files", "signature", "model", "golden", "towers/1"]
    assert "two_tower of 40 users and 90 items, compiled for batches of" in result.stdout
    assert result.stdout.endswith("towers/1 may be served.\n")


def test_what_a_server_would_refuse(copied: Path, tmp_path: Path) -> None:
    assert "is not a directory" in refusal(tmp_path / "nothing")
    assert "holds no version" in refusal(tmp_path)
    (copied / "model.keras").write_bytes(b"damaged")
    assert "cut short or changed" in refusal(copied)
