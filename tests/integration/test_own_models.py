"""Users' own Keras models, published, verified and served: the answers are what Keras itself predicts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from integration.server_process import running_server
from rankserve_client import RankingClient
from rankserve_client.errors import RankServeError
from server.own_versions import publish_own
from training import own_models
from training.own_models import ITEM_IDS, ITEMS, USER_IDS, USERS, Build, keras_scores

FORMS: dict[str, Build] = {
    "factors": own_models.matrix_factorisation,
    "mlp": own_models.trained_mlp,
    "nested": own_models.nested_towers,
}


# To compile one for the server takes ten seconds.
@pytest.fixture(scope="module", params=["mlp", "factors", pytest.param("nested", marks=pytest.mark.reliability)])
def name(request: pytest.FixtureRequest) -> str:
    """Of a form."""
    form: str = request.param
    return form


@pytest.fixture(scope="module")
def own_dir(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file is; the version is in `models` below."""
    directory = tmp_path_factory.mktemp("own")
    publish_own(directory / "models", name, FORMS[name])
    return directory


@pytest.fixture(scope="module")
def client(own_dir: Path) -> Iterator[RankingClient]:
    with running_server(own_dir / "models", own_dir / "errors") as server:
        with RankingClient(server.address) as connected:
            yield connected
        assert "Traceback" not in server.errors


def test_answers_are_the_scores_of_keras(client: RankingClient, own_dir: Path, name: str) -> None:
    unknown = 77
    users, items = np.indices((USERS + 1, ITEMS + 1)).reshape(2, -1).tolist()
    expected = keras_scores(own_dir / f"{name}.keras", users, items).reshape(USERS + 1, ITEMS + 1)
    for user_id, scores in zip((unknown, *USER_IDS), expected, strict=True):
        ranking = client.rank(user_id, [unknown, *ITEM_IDS], order="as_sent", model=name)
        np.testing.assert_allclose(ranking.scores, scores, rtol=1e-5, atol=1e-6)
        best = client.rank(user_id, top_k=3, model=name)
        in_order = sorted(zip(scores[1:].tolist(), ITEM_IDS, strict=True), reverse=True)
        assert list(best.item_ids) == [id_ for _, id_ in in_order[:3]]


def test_they_know_nothing_of_strangers(client: RankingClient, name: str) -> None:
    assert not any(model.abilities.history or model.abilities.choice for model in client.models())
    with pytest.raises(RankServeError, match="its preset is 'own'"):
        client.rank(0, ITEM_IDS, history={ITEM_IDS[0]: 1.0}, model=name)
