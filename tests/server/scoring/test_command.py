"""What `rankserve score` refuses before it looks at anything."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from rankserve_server.scoring.command import score


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--top-k", "1" + "0" * 30], "'--top-k': 1000000000000000000000000000000 is not in the range"),
        (["--top-k", "1", "--users-per-file", "1" + "0" * 30], "'--users-per-file'"),
        (["--top-k", "1", "--max-table-mib", "1" + "0" * 30], "'--max-table-mib'"),
        (["--top-k", "1", "--json", "nowhere/said.json"], "nowhere/said.json cannot be written: there is no directory"),
        (["--top-k", "1", "--json", "."], ". cannot be written: it is a directory"),
    ],
)
def test_refused(options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(score, ["--model", "models/none", "--output", "scores", *options])
    assert (done.exit_code, words in done.output) == (2, True), done.output
    assert list(tmp_path.iterdir()) == []
