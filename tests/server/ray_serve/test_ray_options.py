"""What `--engine ray` and an application take, and what they refuse; without Ray."""

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from rankserve_server import cli
from rankserve_server.config import ServerConfig
from rankserve_server.ray_serve.app_settings import AppSettings, AppSettingsError, app_settings
from rankserve_server.ray_serve.methods import METHODS
from rankserve_server.ray_serve.ray_settings import RaySettings


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ServerConfig, RaySettings]]:
    calls: list[tuple[ServerConfig, RaySettings]] = []
    monkeypatch.setattr(cli, "run_on_ray", lambda config, settings: calls.append((config, settings)))
    return calls


def test_each_option_sets_its_field(started: list[tuple[ServerConfig, RaySettings]]) -> None:
    flags = "--engine ray --ray-address auto --ray-http-port 1 --replicas 2:8 --replica-cpus 0.5 --replicas-per-node 1"
    arguments = [*flags.split(), "--replica-version", "7", "--application", "a", "--max-candidates", "9"]
    result = CliRunner().invoke(cli.serve, arguments)
    assert result.exit_code == 0, result.output
    ((config, settings),) = started
    assert settings == RaySettings("auto", 1, (2, 8), 0.5, 1, 7, "a")
    assert config.limits.max_candidates == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--engine", "ray", "--workers", "2"], "--workers is not for --engine ray: replicas take their place"),
        (["--engine", "ray", "--tls-cert", "a.crt"], "--tls-cert is not for --engine ray: Ray's proxy takes the calls"),
        (["--engine", "ray", "--access-log", "a"], "--access-log is not for --engine ray: Ray has its own"),
        (["--replicas", "2"], "--replicas is for --engine ray only"),
        (["--engine", "ray", "--replicas", "3:2"], "'3:2' is neither a number from 1 up"),
        (["--engine", "ray", "--replicas", "0"], "'0' is neither a number from 1 up"),
    ],
)
def test_what_the_engine_would_not_heed_is_refused(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(cli.serve, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = CliRunner().invoke(cli.serve, ["--engine", "ray", "--models-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "pip install 'rankserve[server,ray]'" in result.output


def test_arguments_of_an_application_may_be_texts() -> None:
    settings = app_settings({"models_dir": "models", "version": "7", "max_candidates": "9", "other_protocols": "false"})
    assert settings == AppSettings(models_dir=Path("models"), version=7, max_candidates=9, other_protocols=False)
    assert settings.config.models_dir == Path.cwd() / "models"
    assert settings.config.limits.max_candidates == 9


@pytest.mark.parametrize(
    "arguments", [{}, {"models_dir": "m", "model_dir": "m"}, {"models_dir": "m", "version": 0}, {"models_dir": 5}]
)
def test_wrong_arguments_of_an_application_are_named(arguments: dict[str, object]) -> None:
    with pytest.raises(AppSettingsError, match="there are: models_dir, default_model"):
        app_settings(arguments)


def test_no_two_methods_have_the_same_name() -> None:
    names = [method.name for method in METHODS]
    assert len(set(names)) == len(names)
