"""What of the options about several processes does not go together: refused before anything heavy is imported."""

import pytest
from click.testing import CliRunner

from rankserve_training.cli.train import train


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--process-id", "0"], "--process-id needs --coordinator: where do the processes meet?"),
        (["--coordinator", "somewhere"], "--coordinator somewhere is neither HOST:PORT nor auto"),
        (["--coordinator", "host:99999"], "--coordinator host:99999 is neither HOST:PORT nor auto"),
        (["--coordinator", "host:1", "--processes", "2"], "--coordinator HOST:PORT needs --processes and --process-id"),
        (
            ["--coordinator", "host:1", "--processes", "2", "--process-id", "2"],
            "--process-id 2 is not one of --processes 2: they count from 0",
        ),
        (
            ["--coordinator", "auto", "--processes", "2"],
            "--coordinator auto finds out --processes and --process-id itself",
        ),
        (["--processes", "0"], "0 is not in the range"),
    ],
)
def test_what_does_not_go_together(options: list[str], message: str) -> None:
    result = CliRunner().invoke(train, options)
    assert result.exit_code == 2
    assert message in result.output
