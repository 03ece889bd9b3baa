"""`rankserve doctor`: what it finds of an installation and of a server, and what it says to do."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from client.scripted_server import ScriptedServer
from rankserve_client.cli import main
from rankserve_client.version import __version__

# The process as it would be where only the client is installed: what the extras bring cannot be imported.
_THIN = """
import sys
for name in ("cryptography", "grpc_health", "h5py", "jax", "keras", "matplotlib", "msgspec", "numpy", "tensorflow"):
    sys.modules[name] = None
from rankserve_client.cli import main
main(["doctor", "--json"], prog_name="rankserve")
"""


def doctor(*arguments: str, **environment: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and the findings by what was looked at."""
    result = CliRunner().invoke(main, ["doctor", "--json", *arguments], env=environment, prog_name="rankserve")
    assert result.stderr == ""
    return result.exit_code, _by_check(result.stdout)


def _by_check(output: str) -> dict[str, dict[str, Any]]:
    content = json.loads(output)
    assert content["ok"] == all(finding["status"] != "fail" for finding in content["findings"])
    assert all({"section", "check", "status", "found", "advice"} == finding.keys() for finding in content["findings"])
    return {finding["check"]: finding for finding in content["findings"]}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no models directory, unless a test makes one."""
    monkeypatch.chdir(tmp_path)


def test_an_installation_without_a_server_is_well() -> None:
    code, found = doctor()
    assert code == 0
    assert found["rankserve"]["found"].startswith(f"{__version__} in ")
    assert {found[check]["status"] for check in ("python", "client", "extra server", "clock", "transport")} == {"ok"}
    assert found["extra compare"]["advice"] == "if you need it: pip install 'rankserve[compare]'"
    assert (found["models directory"]["status"], found["models directory"]["found"]) == (
        "warn",
        "models does not exist",
    )
    assert (found["127.0.0.1:50051"]["status"], found["127.0.0.1:50051"]["found"]) == ("skip", "no server answers")


def test_what_was_named_has_to_be_there(tmp_path: Path) -> None:
    code, found = doctor("--server", "127.0.0.1:1", "--models-dir", str(tmp_path / "none"))
    assert code == 1
    assert found["127.0.0.1:1"]["status"] == found["models directory"]["status"] == "fail"
    assert "rankserve serve" in found["127.0.0.1:1"]["advice"]
    assert f"rankserve train --models-dir {tmp_path / 'none'}" in found["models directory"]["advice"]


def test_a_server_of_another_release(movies: ScriptedServer) -> None:
    code, found = doctor("--server", movies.target)
    assert code == 0
    assert found[movies.target]["status"] == "warn"
    assert f"an older release; here it is {__version__}" in found[movies.target]["found"]
    assert found["served movielens/3"]["status"] == "ok"
    assert found["latency"]["found"].endswith("the median of 9 calls")


def test_a_server_without_tls_is_asked_for_tls(movies: ScriptedServer) -> None:
    code, found = doctor("--server", movies.target, "--tls")
    assert (code, found[movies.target]["status"]) == (1, "fail")
    assert "--tls" in found[movies.target]["advice"]


def test_the_settings_of_serve_are_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "rankserve.toml"
    config.write_text('[serve]\ntls-cert = "missing.crt"\ntransport = "aio"\nmax-connections = 2000000000\n')
    code, found = doctor("--config", str(config), RANKSERVE_SERVE_PORT="0")
    assert code == 1
    assert found["settings"]["found"].endswith("max-connections, port, tls-cert, transport")
    assert (found["security"]["status"], found["security"]["found"]) == (
        "fail",
        "--tls-cert and --tls-key belong together",
    )
    assert found["transport"]["found"] == "aio, as asked for"
    assert (found["open files"]["status"], "ulimit -n 2000000256" in found["open files"]["advice"]) == ("warn", True)


def test_a_wrong_config_file_is_a_finding(tmp_path: Path) -> None:
    config = tmp_path / "rankserve.toml"
    config.write_text("[serve]\nprot = 1\n")
    code, found = doctor("--config", str(config))
    assert code == 1
    assert "there is no setting 'prot'. Did you mean 'port'?" in found["settings"]["found"]


def test_a_library_out_of_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.2" if name == "grpcio" else real(name))
    code, found = doctor()
    assert code == 1
    assert found["client"]["found"].startswith("grpcio 1.2, >=")
    assert found["client"]["advice"] == "pip install --upgrade 'rankserve'"


def test_with_the_thin_client_alone() -> None:
    process = subprocess.run([sys.executable, "-c", _THIN], capture_output=True, text=True, timeout=60, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    found = _by_check(process.stdout)
    assert (found["settings"]["status"], found["settings"]["advice"]) == ("skip", "pip install 'rankserve[server]'")
    assert found["client"]["status"] == "ok"


def test_people_get_a_table() -> None:
    result = CliRunner().invoke(main, ["doctor"], prog_name="rankserve")
    assert result.exit_code == 0
    assert any(line.split()[:3] == ["warn", "models", "directory"] for line in result.stdout.splitlines())
    assert "> publish one: rankserve train --models-dir models" in result.stdout
    assert result.stdout.splitlines()[-1].endswith("skip")
