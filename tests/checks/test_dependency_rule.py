from pathlib import Path

import pytest

from checks.dependency_rule import RULES, modules, violations
from checks.repository import ROOT, WHEEL_PACKAGES

SOURCE_ROOTS = [Path(package) for package in WHEEL_PACKAGES if package != "protos/rankserve"]


@pytest.mark.parametrize("package", SOURCE_ROOTS, ids=str)
def test_the_repository_keeps_the_rule(package: Path) -> None:
    source_root = ROOT / package.parent
    assert package.name in modules(source_root), "nothing was checked"
    found = violations(source_root)
    assert not found, "\n".join(["", *found])


def test_every_package_of_the_wheel_has_a_rule() -> None:
    assert {package.name for package in SOURCE_ROOTS} <= {rule.scope for rule in RULES}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("rankserve_client/channel.py", "import grpc.aio\nimport asyncio"),
        ("rankserve_client/errors.py", "from google.rpc import error_details_pb2\nfrom google import protobuf"),
        ("rankserve_client/errors.py", "from grpc_status import rpc_status"),
        ("rankserve_client/sync.py", "from rankserve.v1 import ranking_pb2\nfrom rankserve_client.errors import E"),
        ("rankserve_client/sync.py", "from . import errors\nfrom .errors import E"),
        ("rankserve_client/cli/__init__.py", "import click\nimport rich.table\nfrom ..sync import Client"),
        (
            "rankserve_client/bench/plot.py",
            "import hdrh.histogram\ndef draw():\n    from matplotlib.figure import Figure",
        ),
        ("rankserve_client/gateway/app.py", "import msgspec, uvicorn\nfrom starlette.routing import Route"),
        ("rankserve_client/bench/report.py", "import rich.table\nfrom rankserve_client.cli import output"),
        ("rankserve_server/engine.py", "import keras\nimport jax.numpy as jnp\nfrom rankserve_training import model"),
        ("rankserve_server/repository.py", "from rankserve_training.artifact.reader import read"),
        ("rankserve_training/data/movielens.py", "import tensorflow_datasets as tfds"),
        ("rankserve_training/artifact/reader.py", "def read():\n    from rankserve_training.model import load"),
    ],
)
def test_accepts(tmp_path: Path, path: str, source: str) -> None:
    assert _violations_of(tmp_path, path, source) == []


@pytest.mark.parametrize(
    ("path", "source", "line", "target"),
    [
        ("rankserve_client/sync.py", "import os\nimport numpy as np", 2, "numpy"),
        ("rankserve_client/sync.py", "import os, click", 1, "click"),
        ("rankserve_client/sync.py", "from rankserve_client import cli", 1, "rankserve_client.cli"),
        ("rankserve_client/sync.py", "from .cli.output import table", 1, "rankserve_client.cli.output.table"),
        ("rankserve_client/sync.py", "import rankserve_clients", 1, "rankserve_clients"),
        ("rankserve_client/sync.py", "from google import cloud", 1, "google.cloud"),
        ("rankserve_client/sync.py", "from google import *", 1, "google.*"),
        ("rankserve_client/sync.py", "from ..rankserve_server import x", 1, "..rankserve_server.x"),
        ("rankserve_client/cli/rank.py", "def rank():\n    import jax", 2, "jax"),
        ("rankserve_client/cli/rank.py", "from rankserve_client.bench import plan", 1, "rankserve_client.bench.plan"),
        ("rankserve_client/stream.py", "from .bench import plan", 1, "rankserve_client.bench.plan"),
        ("rankserve_client/bench/plot.py", "import numpy", 1, "numpy"),
        ("rankserve_client/sync.py", "from rankserve_client import gateway", 1, "rankserve_client.gateway"),
        ("rankserve_client/sync.py", "import starlette", 1, "starlette"),
        ("rankserve_client/cli/rank.py", "import msgspec", 1, "msgspec"),
        ("rankserve_client/gateway/app.py", "import numpy", 1, "numpy"),
        ("rankserve_server/server.py", "import starlette.routing", 1, "starlette.routing"),
        ("rankserve_client/cli/serve.py", "from rankserve_server.cli import serve", 1, "rankserve_server.cli.serve"),
        (
            "rankserve_client/aio.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from keras import Model",
            3,
            "keras.Model",
        ),
        ("rankserve_client/aio.py", "import importlib\nimportlib.import_module('keras')", 2, "keras"),
        ("rankserve_client/aio.py", "__import__('keras')", 1, "keras"),
        ("rankserve_server/engine.py", "import tensorflow as tf", 1, "tensorflow"),
        ("rankserve_server/engine.py", "try:\n    import tensorflow_datasets\nfinally: ...", 2, "tensorflow_datasets"),
        ("rankserve_server/engine.py", "import rankserve_training", 1, "rankserve_training"),
        ("rankserve_server/engine.py", "from rankserve_training import data", 1, "rankserve_training.data"),
        ("rankserve_server/engine.py", "from rankserve_client import Client", 1, "rankserve_client.Client"),
        ("rankserve_training/train.py", "from rankserve.v1 import models_pb2", 1, "rankserve.v1.models_pb2"),
        ("rankserve_training/train.py", "import rankserve_server.engine", 1, "rankserve_server.engine"),
        ("rankserve_training/train.py", "from rankserve_client import x", 1, "rankserve_client.x"),
        ("rankserve_training/train.py", "import pandas", 1, "pandas"),
        ("rankserve_training/model/towers.py", "def f():\n    import tensorflow", 2, "tensorflow"),
        ("rankserve_training/artifact/reader.py", "from ..data import x", 1, "rankserve_training.data.x"),
    ],
)
def test_reports(tmp_path: Path, path: str, source: str, line: int, target: str) -> None:
    (found,) = _violations_of(tmp_path, path, source)
    assert found.startswith(f"source/{path}:{line}: imports {target}, but ")


def test_reports_a_package_without_a_rule(tmp_path: Path) -> None:
    (found,) = _violations_of(tmp_path, "rankserve_extra/__init__.py", "")
    assert found == "source/rankserve_extra/__init__.py:1: no dependency rule covers rankserve_extra"


def test_reports_every_violation_in_order(tmp_path: Path) -> None:
    found = _violations_of(tmp_path, "rankserve_client/a.py", "import jax\nimport os\nfrom keras import layers, ops")
    assert [line.split(",")[0] for line in found] == [
        "source/rankserve_client/a.py:1: imports jax",
        "source/rankserve_client/a.py:3: imports keras.layers",
        "source/rankserve_client/a.py:3: imports keras.ops",
    ]


def _violations_of(tmp_path: Path, path: str, source: str) -> list[str]:
    file = tmp_path / "source" / path
    file.parent.mkdir(parents=True)
    file.write_text(source, encoding="utf-8")
    return violations(tmp_path / "source")
