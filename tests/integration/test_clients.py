"""The clients and the commands against a real server."""

import asyncio
import json

import pytest

from integration.command_forks import run_forked
from integration.server_process import ServerProcess, free_port
from rankserve_client import (
    AsyncRankingClient,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    Ranking,
    RankingClient,
    RankQuery,
    Unreachable,
)

TITLES = {
    204: "Back to the Future (1985)",
    141: "20,000 Leagues Under the Sea (1954)",
    131: "Breakfast at Tiffany's (1961)",
}


def run(*arguments: str, code: int = 0) -> tuple[str, str]:
    done = run_forked(*arguments)
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_the_blocking_client(server: ServerProcess) -> None:
    with RankingClient(server.address) as client:
        ranking = client.rank(42, [204, 141, 131], titles=True)
        assert dict(zip(ranking.item_ids, ranking.titles or (), strict=True)) == TITLES
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
        assert client.rank_batch([RankQuery(42, [204, 141, 131], titles=True)]) == [ranking]
        assert list(client.rank_stream([RankQuery(42, [204, 141, 131], titles=True)] * 3)) == [ranking] * 3
        assert len(client.rank(42, top_k=7, exclude_seen=True)) == 7
        assert [model.name for model in client.models()] == ["movielens"]
        assert client.model().user_count == 943


async def test_the_asyncio_client(server: ServerProcess) -> None:
    async with AsyncRankingClient(server.address) as client:
        rankings = await asyncio.gather(*(client.rank(user, [204, 141, 131]) for user in range(1, 33)))
        batch = await client.rank_batch([RankQuery(user, [204, 141, 131]) for user in range(1, 33)])
        assert batch == rankings
        streamed = [
            result async for result in client.rank_stream(RankQuery(user, [204, 141, 131]) for user in range(1, 33))
        ]
        assert streamed == rankings
        assert (await client.model("movielens", version=1)).item_count == 1_682


def test_refusals_become_exceptions(server: ServerProcess) -> None:
    with RankingClient(server.address) as client:
        with pytest.raises(InvalidRequest) as invalid:
            client.rank(1, range(10_001))
        assert [violation.field for violation in invalid.value.field_violations] == ["candidate_ids"]
        with pytest.raises(ModelNotFound) as unknown:
            client.rank(1, [1], model="other")
        assert unknown.value.resource is not None
        assert unknown.value.resource.name == "other"
        with pytest.raises(NotSupported):
            client.rank(1, [1], history={1: 5.0})
        good, refused, after = client.rank_batch([RankQuery(1, [1]), RankQuery(1, [1], version=9), RankQuery(1, [1])])
        assert isinstance(good, Ranking)
        assert isinstance(refused, ModelNotFound)
        assert after == good


def test_the_rank_command(server: ServerProcess) -> None:
    output, errors = run("rank", "--server", server.address, "--user", "42", "204", "141", "131", "999999")
    assert errors == ""
    for title in TITLES.values():
        assert title in output
    assert "movielens version 1" in output
    assert "999999" in output
    as_json = json.loads(run("rank", "--server", server.address, "--user", "42", "204", "141", "131", "--json")[0])
    assert {item["item_id"]: item["title"] for item in as_json["items"]} == TITLES
    assert as_json["model"] == {"name": "movielens", "version": 1}
    catalogue = json.loads(run("rank", "--server", server.address, "--user", "42", "--exclude-seen", "--json")[0])
    assert len(catalogue["items"]) == 10


def test_the_models_command(server: ServerProcess) -> None:
    output, _ = run("models", "--server", server.address)
    assert "movielens" in output
    (model,) = json.loads(run("models", "--server", server.address, "--json")[0])["models"]
    assert (model["name"], model["version"], model["state"], model["is_default"]) == ("movielens", 1, "ready", True)


def test_a_refused_command_fails_with_one_line(server: ServerProcess) -> None:
    output, errors = run("rank", "--server", server.address, "--user", "42", "--model", "other", "1", code=1)
    assert output == ""
    assert errors == "Error: model 'other' is not served; these are: movielens\n"


def test_without_a_server(server: ServerProcess) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert address != server.address
    with RankingClient(address, timeout=1) as client, pytest.raises(Unreachable):
        client.rank(1, [1])
