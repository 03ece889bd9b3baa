"""The stubs of tensorflow-serving-api get from us what Rank answers, bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from conftest import StartServer
from integration.peers.conftest import RunProgram
from integration.peers.expected import expected_scores

pytestmark = pytest.mark.peers
# How often the program asks for all cases.
ROUNDS = 4


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_it_gets_what_rank_answers(
    start_server: StartServer, run_program: RunProgram, own_models: Path, transport: str
) -> None:
    server = start_server("--transport", transport, models=own_models).wait_until_ready()
    answers = run_program("tf_serving_stubs", "tensorflow_serving", server.address)
    assert answers.pop("scores") == expected_scores(server.address) * ROUNDS
    assert answers == {
        "inputs": ["item_id", "user_id"],
        "outputs": ["score"],
        "dtype": "int32",
        "method": "tensorflow/serving/predict",
        "status": [1, "AVAILABLE"],
        "reloaded": 0,
        "answered": ["movielens", 1, "serving_default"],
    }


@pytest.mark.parametrize("ours", ["first", "last"])
def test_it_shares_a_process_with_us(
    start_server: StartServer, run_in_one_process: RunProgram, own_models: Path, ours: str
) -> None:
    server = start_server(models=own_models).wait_until_ready()
    answers: dict[str, Any] = run_in_one_process("tf_serving_stubs", "tensorflow_serving", server.address, ours)
    assert answers["scores"] == expected_scores(server.address) * ROUNDS
