"""Whatever JSON comes, the gateway has an answer: the client's where the request is good, else a clear refusal."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.gateway.gateway_process import Gateway
from integration.gateway.test_api import as_json
from rankserve_client import RankingClient

PATHS = (
    "/api/v1/rank",
    "/api/v1/rank:batch",
    "/api/v1/baseline",
    "/v1/models/towers:predict",
    "/v1/models/towers:classify",
    "/v2/models/towers/infer",
)
NAMES = ("user_id", "candidate_ids", "top_k", "history", "item_ids", "ratings", "inputs", "instances", "examples")
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
ids = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([3, 5, 6, 10, 450])
EXAMPLES = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def line(gateway: Gateway) -> Iterator[http.client.HTTPConnection]:
    """One connection for all examples: that it holds shows that every answer was whole."""
    connection = http.client.HTTPConnection(gateway.address, timeout=30)
    yield connection
    connection.close()


def post(line: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any]:
    line.request("POST", path, json.dumps(body))
    response = line.getresponse()
    return response.status, json.loads(response.read())


@EXAMPLES
@given(path=st.sampled_from(PATHS), body=anything)
def test_anything_gets_an_answer(line: http.client.HTTPConnection, path: str, body: Any) -> None:
    status, answer = post(line, path, body)
    assert status in (200, 400), answer
    if status == 400:
        assert answer["detail" if path.startswith("/api") else "error"]


@EXAMPLES
@given(user=ids, candidates=st.lists(ids, min_size=1, max_size=6), as_text=st.booleans())
def test_good_requests_get_the_clients_answer(
    line: http.client.HTTPConnection, client: RankingClient, user: int, candidates: list[int], as_text: bool
) -> None:
    sent = list(map(str, candidates)) if as_text else candidates
    assert post(line, "/api/v1/rank", {"user_id": user, "candidate_ids": sent}) == (
        200,
        as_json(client.rank(user, candidates)),
    )
    inputs = {"user_id": user, "item_id": candidates}
    scores = list(client.rank(user, candidates, order="as_sent").scores)
    assert post(line, "/v1/models/towers:predict", {"inputs": inputs}) == (200, {"outputs": scores})
