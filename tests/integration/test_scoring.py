"""`rankserve score` writes what a server answers to Rank, to the last bit and in the same order."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from integration.command_forks import run_forked
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

TOP_K = 50
STRANGER = 999_999


@pytest.mark.parametrize("server", ["direct"], indirect=True)  # test_same_bits holds the transports against each other
def test_files_and_server_agree(stub: ranking_pb2_grpc.RankingServiceStub, models_dir: Path, tmp_path: Path) -> None:
    users = [*range(1, 944, 31), STRANGER]
    (tmp_path / "users").write_text("".join(f"{user}\n" for user in users))
    command = ["score", "--model", str(models_dir / "movielens"), "--output", str(tmp_path / "scores")]
    command += ["--top-k", str(TOP_K), "--users", str(tmp_path / "users"), "--exclude-seen", "--processes", "1"]
    done = run_forked(*command)
    assert (done.returncode, "Users unknown to the model, scored as new ones: 1\n" in done.stderr) == (0, True), (
        done.stderr
    )
    table = pq.read_table(tmp_path / "scores")
    assert table["user_id"].to_pylist() == np.repeat(users, TOP_K).tolist()
    answers = [
        stub.Rank(ranking_pb2.RankRequest(user_id=user, top_k=TOP_K, exclude_seen=True), timeout=10) for user in users
    ]
    assert table["item_id"].to_pylist() == [item for answer in answers for item in answer.item_ids]
    scores = np.concatenate([np.array(answer.scores, np.float32) for answer in answers])
    assert table["score"].to_numpy().tobytes() == scores.tobytes()
