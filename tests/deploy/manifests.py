"""The manifests of deploy/, as Kubernetes gets them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # it ships no types

from checks.repository import ROOT

DEPLOY: Final = ROOT / "deploy"
KUBERNETES: Final = DEPLOY / "kubernetes"
KSERVE: Final = DEPLOY / "kserve"

Manifest = dict[str, Any]


def manifests_in(directory: Path) -> Iterator[tuple[str, Manifest]]:
    """Each document of each file, with the file's path in deploy/; those that only tools read are left out."""
    for path in sorted(directory.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            if "kind" in document:
                yield str(path.relative_to(DEPLOY)), document


def manifest(path: Path) -> Manifest:
    """The one document of a file."""
    found: Manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def server_container(kind: str) -> Manifest:
    """The container that serves, of "kubernetes" or "kserve"."""
    if kind == "kubernetes":
        spec = manifest(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    else:
        spec = manifest(KSERVE / "serving-runtime.yaml")["spec"]
    (container,) = spec["containers"]
    found: Manifest = container
    return found


def options_of(container: Manifest) -> dict[str, str]:
    """The options of `rankserve serve` that its arguments set."""
    command, *options = container["args"]
    assert command == "serve"
    return dict(option.removeprefix("--").split("=", 1) for option in options)
