"""The JSON files of a version, which are small."""

from pathlib import Path

from rankserve_training.artifact.errors import ArtifactError

# Manifests have some ten kilobytes, most of them golden requests.
LARGEST_JSON = 16 * 1024 * 1024


def read_json_bytes(path: Path) -> bytes:
    """The content of a file, which is not read past what a version may have.

    Raises:
        ArtifactError: where it is larger.
        OSError: where it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ArtifactError(f"{path} has more than the {LARGEST_JSON:,} bytes that are allowed")
    return content
