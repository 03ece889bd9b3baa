"""rankserve and other model servers, each in an environment of its own: `peers/README.md` says how to make them."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import throughput
from processes import Contender, baseline, rankserve
from protocols import OPEN_INFERENCE, RANKING, Protocol

from rankserve_training.artifact import read_artifact, resolve_version

REFERENCE = baseline("hand-written grpc.aio + jit, uvloop", "aio_jit.py")
_SCRIPTS = Path(__file__).parent / "peers"
_ENVIRONMENTS = Path(__file__).parents[1] / "build" / "peers"
_WEIGHTS = _ENVIRONMENTS / "weights.npz"
# rankserve's own ports lie below, and a peer may take another one, a hundred above its own.
_FIRST_PORT = 27_800


@dataclass(frozen=True)
class Peer:
    """A server that takes part where its environment is found.

    Attributes:
        name: of its environment and its script.
        title: as the table shows it, without the version.
        package: whose version the table shows.
        protocol: how it is asked.
    """

    name: str
    title: str
    package: str
    protocol: Protocol


PEERS = (
    Peer("triton", "Triton, pytriton", "nvidia-pytriton", OPEN_INFERENCE),
    Peer("mlserver", "MLServer", "mlserver", OPEN_INFERENCE),
    Peer("kserve", "KServe SDK", "kserve", OPEN_INFERENCE),
    Peer("ray", "Ray Serve", "ray", replace(RANKING, metadata=(("application", "movielens"),))),
)


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures those that are installed, and returns the tables as Markdown."""
    installed = [peer for peer in PEERS if _python(peer).exists()]
    absent = [peer for peer in PEERS if peer not in installed]
    missing = [f"Not measured: {peer.title}, as there is no build/peers/{peer.name}." for peer in absent]
    if not installed:
        return "\n\n".join(missing)
    _export_weights(models_dir)
    contenders = [rankserve("direct"), REFERENCE, *map(_contender, installed)]
    tables = throughput.compare(contenders, REFERENCE, models_dir, _FIRST_PORT, log)
    return "\n\n".join([_introduction(), tables, *missing])


def _contender(peer: Peer) -> Contender:
    python = _python(peer)
    # Asked of the environment itself: it may hold other versions than those that were tested.
    show = f"from importlib.metadata import version; print(version({peer.package!r}))"
    version = subprocess.run([python, "-c", show], check=True, capture_output=True, text=True).stdout.strip()
    command = (str(python), str(_SCRIPTS / f"serve_{peer.name}.py"), str(_WEIGHTS), "{port}")
    log = str(_ENVIRONMENTS / f"{peer.name}.log")
    return Contender(f"{peer.title} {version}", (*command, log), protocol=peer.protocol)


def _python(peer: Peer) -> Path:
    return _ENVIRONMENTS / peer.name / "bin" / "python"


def _export_weights(models_dir: Path) -> None:
    """The weights of the published model, for environments without Keras."""
    model = read_artifact(resolve_version(models_dir / "movielens")).load_keras_model()
    arrays = {}
    for name in ("user", "item"):
        (arrays[f"{name}s"],) = model.get_layer(f"{name}_embedding").get_weights()
    for name in ("hidden_1", "hidden_2", "label"):
        arrays[f"{name}_kernel"], arrays[f"{name}_bias"] = model.get_layer(name).get_weights()
    np.savez(_WEIGHTS, **arrays)


def _introduction() -> str:
    return (
        "The same model in model servers that others make, each in an environment of its own and set as its script in "
        "`benchmarks/peers` says. Triton, MLServer and KServe's SDK are asked for unsorted scores in the Open "
        "Inference Protocol, Ray Serve as rankserve is. CPU and memory are those of all processes of a server; memory "
        "that they share is counted for each of them."
    )
