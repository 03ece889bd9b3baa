"""The clients of Triton, KServe and PyTriton get from us what Rank answers, bit for bit."""

from pathlib import Path
from typing import Any

import pytest

from conftest import StartServer
from integration.peers.conftest import RunProgram
from integration.peers.expected import expected_scores
from integration.server_process import ServerProcess

pytestmark = pytest.mark.peers
LIBRARIES = {"tritonclient_grpc": "tritonclient", "kserve_grpc": "kserve", "pytriton_client": "pytriton"}
# How often each program asks for all cases.
ROUNDS = {"tritonclient_grpc": 3, "kserve_grpc": 2, "pytriton_client": 2}


@pytest.fixture
def expected(server: ServerProcess) -> list[Any]:
    return expected_scores(server.address)


@pytest.mark.parametrize("program", LIBRARIES)
def test_it_gets_what_rank_answers(
    server: ServerProcess, run_program: RunProgram, expected: list[Any], program: str
) -> None:
    answers = run_program(program, LIBRARIES[program], server.address)
    assert answers["scores"] == expected * ROUNDS[program]
    assert answers["inputs"] == ["user_id", "item_id"]


@pytest.mark.parametrize("program", LIBRARIES)
@pytest.mark.parametrize("ours", ["first", "last"])
def test_it_shares_a_process_with_us(
    server: ServerProcess, run_in_one_process: RunProgram, expected: list[Any], program: str, ours: str
) -> None:
    answers = run_in_one_process(program, LIBRARIES[program], server.address, ours)
    assert answers["scores"] == expected * ROUNDS[program]


def test_what_else_the_client_of_triton_asks(server: ServerProcess, run_program: RunProgram) -> None:
    answers = run_program("tritonclient_grpc", "tritonclient", server.address)
    assert answers["configured"] == ["user_id", "item_id"]
    assert answers["counted"] == ["movielens"]
    assert answers["index"] == [["movielens", "READY"]]
    assert answers["refusal"] == "StatusCode.NOT_FOUND"


def test_the_example_of_the_readme(server: ServerProcess, run_program: RunProgram, expected: list[Any]) -> None:
    assert run_program("migrating_example", "tritonclient", server.address)["scores"] == expected[:1]


def test_what_else_the_client_of_kserve_asks(server: ServerProcess, run_program: RunProgram) -> None:
    assert run_program("kserve_grpc", "kserve", server.address)["loaded"]


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_the_client_of_triton_unloads_and_loads(
    start_server: StartServer, run_program: RunProgram, own_models: Path, transport: str
) -> None:
    server = start_server("--transport", transport, models=own_models).wait_until_ready()
    assert run_program("triton_unloading", "tritonclient", server.address)["ready"] == [True, False, True]
