"""`rankserve models`, as a user starts it."""

import json

from client.command import run, start
from client.scripted_server import ScriptedServer
from client.test_client_messages import full_model
from rankserve.v1 import models_pb2


def test_lists_models(server: ScriptedServer) -> None:
    server.models = [
        full_model(),
        models_pb2.Model(
            name="movielens", version=2, state=models_pb2.MODEL_STATE_FAILED, state_message="model.keras is truncated"
        ),
    ]
    process = start("models", "--server", server.target)
    assert (process.returncode, process.stderr) == (0, "")
    head, first, second, *notes = process.stdout.splitlines()
    columns = "name version state role users items metrics abilities trained dataset"
    assert head.split() == columns.split()
    assert "default (pinned), canary 12.5 %, shadow 50 %, @stable" in first
    for text in (
        "movielens",
        "3",
        "ready",
        "943",
        "1,682",
        "test_rmse 0.9375",
        "2026-01-02 03:04 UTC",
        "movielens/100k",
    ):
        assert text in first
    assert "history, features (age, gender), new items, choice" in first
    assert "failed" in second
    assert notes == [
        "movielens version 3 in the shadow of 1,000 requests: overlap@10 0.750, Kendall's tau 0.500, scores -0.250 "
        "(absolute 0.375); 20 left out, 3 failed",
        "movielens version 3 is ready: fine",
        "movielens version 2 is failed: model.keras is truncated",
    ]


def test_lists_models_as_json(server: ScriptedServer) -> None:
    server.models = [full_model(), models_pb2.Model(name="other", version=1)]
    process = run("models", "--server", server.target, "--json")
    first, second = json.loads(process.stdout)["models"]
    assert first == {
        "name": "movielens",
        "version": 3,
        "state": "ready",
        "state_message": "fine",
        "is_default": True,
        "aliases": ["stable"],
        "created": "2026-01-02T03:04:05+00:00",
        "preset": "tutorial",
        "dataset": {"name": "movielens/100k", "fingerprint": "ab12", "rating_count": 100000},
        "user_count": 943,
        "item_count": 1682,
        "rating_min": 1.0,
        "rating_max": 5.0,
        "metrics": {"test_rmse": 0.9375, "train_rmse": 0.875},
        "library_versions": {"keras": "3.15.1"},
        "abilities": {
            "history": True,
            "user_features": ["age", "gender"],
            "new_items": True,
            "choice": True,
            "baseline": True,
        },
        "is_current": True,
        "is_pinned": True,
        "canary_percent": 12.5,
        "shadow_percent": 50.0,
        "shadow_report": {
            "compared": 1_000,
            "left_out": 20,
            "failed": 3,
            "overlap_at_10": 0.75,
            "kendall_tau": 0.5,
            "score_difference": -0.25,
            "absolute_score_difference": 0.375,
        },
    }
    assert second.keys() == first.keys()
    assert (second["created"], second["dataset"]) == (None, None)
    assert second["abilities"] == {
        "history": False,
        "user_features": [],
        "new_items": False,
        "choice": False,
        "baseline": False,
    }


def test_a_server_without_models_says_what_to_do(server: ScriptedServer) -> None:
    assert (
        run("models", "--server", server.target).stdout
        == "the server has no models; publish one with: rankserve train\n"
    )
