"""From a directory to a version that may answer: verify, load, compile, replay the golden requests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from rankserve_server.engine.engine import Engine
from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import Artifact, ArtifactError, GoldenRequest, read_artifact

# Folding changes the order of float32 operations, and so the last bits of a score. Relative to the span of the scale.
_GOLDEN_TOLERANCE = 1e-5


def load_version(directory: Path, checkpoint: Callable[[], None]) -> LoadedModel:
    """Loads one version.

    Args:
        directory: MODELS_DIR/NAME/VERSION.
        checkpoint: called between the steps; what it raises ends the loading.

    Raises:
        ArtifactError: where the version is not whole, does not fit together or does not give the scores that its
            manifest promises.
    """
    artifact = read_artifact(directory)
    checkpoint()
    engine = _compile(artifact, checkpoint)
    _replay_golden_requests(artifact, engine)
    return LoadedModel(artifact.manifest, artifact.catalog, artifact.users, engine)


def _compile(artifact: Artifact, checkpoint: Callable[[], None]) -> Engine:
    # Keras takes seconds to import; here it is not yet paid by a start that fails on a broken file.
    from rankserve_training.model.folded import fold

    keras_model = artifact.load_keras_model()
    checkpoint()
    try:
        folded = fold(keras_model, artifact.manifest.training.architecture)
    except ValueError as error:
        raise ArtifactError(f"{artifact.directory}: {error}") from error
    return Engine(folded, checkpoint)


def _replay_golden_requests(artifact: Artifact, engine: Engine) -> None:
    for golden in artifact.manifest.golden_requests:
        _replay(artifact, engine, golden)


def _replay(artifact: Artifact, engine: Engine, golden: GoldenRequest) -> None:
    items = artifact.catalog.index.rows(np.array(golden.candidate_ids, np.int64))
    users = np.full(len(items), artifact.users.index.row(golden.user_id), np.int32)
    for start in range(0, len(items), engine.slice_rows):
        stop = start + engine.slice_rows
        scores = engine.score(users[start:stop], items[start:stop]).astype(np.float64)
        expected = np.array(golden.scores[start:stop])
        difference = float(np.max(np.abs(scores - expected)))
        allowed = _GOLDEN_TOLERANCE * artifact.manifest.rating_scale.span
        if not difference <= allowed:  # also where it is NaN
            raise ArtifactError(
                f"{artifact.directory}: user {golden.user_id}'s golden request is off by {difference:.3g} where "
                f"{allowed:.3g} is allowed; the model does not give the scores that it was published with"
            )
