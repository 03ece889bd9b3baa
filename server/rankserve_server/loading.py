"""From a directory to a version that may answer: verify, load, compile, replay the golden requests."""

import gc
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_server.engine.compiling import compile_engine, compile_keras_engine
from rankserve_server.golden import replay_golden_requests
from rankserve_server.load_steps import LoadSteps
from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import Artifact, ArtifactError, read_artifact
from rankserve_training.artifact.errors import fault_of
from rankserve_training.artifact.manifest import NEWCOMERS_MODEL_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from rankserve_server.engine.engine import Engine
    from rankserve_training.model.folded import FoldedModel, TableHalf
    from rankserve_training.model.newcomers import Newcomers

_log = logging.getLogger(__name__)

_MIB = 1024 * 1024


def load_version(
    directory: Path,
    checkpoint: Callable[[], None],
    max_table_mib: float = math.inf,
    trusted_keys: "Sequence[Ed25519PublicKey]" = (),
    steps: LoadSteps | None = None,
) -> LoadedModel:
    """Loads one version.

    Args:
        directory: MODELS_DIR/NAME/VERSION.
        checkpoint: called between the steps; what it raises ends the loading.
        max_table_mib: what folding may make the tables take; what would pass it is kept as embeddings, and logged.
        trusted_keys: one of them has to have signed the version; where there are none, nobody has to.
        steps: where it notes how long each step takes; None for nowhere.

    Raises:
        ArtifactError: where the version is not whole, does not fit together or does not give the scores that its
            manifest promises.
    """
    steps = steps or LoadSteps()
    with steps.step("verify"):
        artifact = read_artifact(directory, trusted_keys)
    checkpoint()
    newcomers = artifact.read_newcomers()
    try:
        engine = _compiled(artifact, checkpoint, max_table_mib, newcomers, steps)
        model = LoadedModel(artifact.manifest, artifact.catalog, artifact.users, engine, newcomers)
        with steps.step("golden requests"):
            replay_golden_requests(model)
    except ValueError as error:
        raise ArtifactError(f"{artifact.directory}: {error}", fault_of(error)) from error
    return model


def _compiled(
    artifact: Artifact,
    checkpoint: Callable[[], None],
    max_table_mib: float,
    newcomers: "Newcomers | None",
    steps: LoadSteps,
) -> "Engine":
    with steps.step("read model"):
        # Keras takes seconds to import; here it is not yet paid by a start that fails on a broken file.
        from rankserve_training.model.generic import ARCHITECTURE

        is_generic = artifact.manifest.training.architecture == ARCHITECTURE
        if is_generic:
            model = artifact.load_keras_model()
        else:
            folded = _fold(artifact, checkpoint, max_table_mib)
            folded_newcomers = None if newcomers is None else _fold_newcomers(artifact, newcomers)
            # A Keras model refers to itself: without this its tables would stay beside the engine's.
            gc.collect()
    checkpoint()
    with steps.step("compile"):
        if is_generic:
            return compile_keras_engine(model, len(artifact.users), len(artifact.catalog), checkpoint)
        return compile_engine(folded, checkpoint, folded_newcomers)


def _fold(artifact: Artifact, checkpoint: Callable[[], None], max_table_mib: float) -> "FoldedModel":
    from rankserve_training.model.folded import fold

    keras_model = artifact.load_keras_model()
    checkpoint()
    try:
        folded = fold(keras_model, artifact.manifest.training.architecture, max_table_mib * _MIB)
    except ValueError as error:
        raise ArtifactError(f"{artifact.directory}: {error}") from error
    _report_unfolded(artifact, folded, max_table_mib)
    return folded


def _fold_newcomers(artifact: Artifact, newcomers: "Newcomers") -> "FoldedModel":
    from rankserve_training.model import two_tower
    from rankserve_training.model.folded import folded_two_tower

    architecture = artifact.manifest.training.architecture
    if architecture != two_tower.ARCHITECTURE:
        raise ArtifactError(f"{artifact.directory}: no way is known to rank for strangers with {architecture!r}")
    try:
        return folded_two_tower(artifact.load_newcomers_model(newcomers))
    except (ValueError, AttributeError) as error:  # a layer is missing, or is of another kind
        raise ArtifactError(f"{artifact.directory}: {NEWCOMERS_MODEL_FILE} is not of two towers: {error}") from error


def _report_unfolded(artifact: Artifact, model: "FoldedModel", max_table_mib: float) -> None:
    """Says which tables the limit has kept as embeddings, and what that costs; nothing where it has kept none."""
    halves = {"users": model.user_half, "items": model.item_half}
    kept = " and ".join(f"{side} ({_sizes(half)})" for side, half in halves.items() if half.layer is not None)
    if not kept:
        return
    folded_cost = sum(layer.kernel.size for layer in (*model.hidden, model.output))
    cost = folded_cost + sum(half.layer.kernel.size for half in halves.values() if half.layer is not None)
    _log.warning(
        "%s/%d: its folded tables would take %s, and --max-table-mib allows %s MiB. Embeddings are kept for %s, so "
        "that a candidate costs %s multiplications instead of %s.",
        artifact.manifest.name,
        artifact.manifest.version,
        _mib(sum(half.folded_bytes for half in halves.values())),
        f"{max_table_mib:,}",
        kept,
        f"{cost:,}",
        f"{folded_cost:,}",
    )


def _sizes(half: "TableHalf") -> str:
    return f"{_mib(half.table.nbytes)} instead of {_mib(half.folded_bytes)}"


def _mib(size: int) -> str:
    return f"{size / _MIB:,.1f} MiB"
