"""`rankserve serve` only builds a config: every knob has a flag, with the config's own default."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rankserve_server import cli
from rankserve_server.config import ServerConfig, decode_config, encode_config
from rankserve_server.limits import ConnectionLimits, Limits
from rankserve_server.observing.observing_config import ObservingConfig
from rankserve_server.security.security_config import SecurityConfig

LIMITS = {field.name: number for number, field in enumerate(fields(Limits), start=2_000)}
CONNECTIONS: dict[str, Any] = {field.name: number for number, field in enumerate(fields(ConnectionLimits), start=2_000)}


def config_of(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> ServerConfig:
    configs: list[ServerConfig] = []
    monkeypatch.setattr(cli, "run_server", configs.append)
    result = CliRunner().invoke(cli.serve, arguments)
    assert result.exit_code == 0, result.output
    (config,) = configs
    return config


def test_without_flags_it_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config_of(monkeypatch) == ServerConfig()


def test_every_knob_has_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {
        "models_dir": Path("elsewhere"),
        "host": "::1",
        "port": 1,
        "default_model": "a",
        "watch_seconds": 0.5,
        "keep_versions": 0,
        "store_seconds": 0.5,
        "max_version_mib": 9,
        "max_table_mib": 0,
        "max_memory_mib": 7,
        "program_cache": Path("programs"),
        "grace_seconds": 1.5,
        "drain_seconds": 2.5,
        "transport": "aio",
        "workers": 3,
        "metrics_host": "::1",
        "metrics_port": 2,
    }
    security: dict[str, Any] = {
        "tls_cert": Path("a.crt"),
        "tls_key": Path("a.key"),
        "tls_client_ca": Path("ca.crt"),
        "tokens_file": Path("tokens.toml"),
        "admin_address": "unix:/run/admin",
        "reflection": "off",
    }
    observing: dict[str, Any] = {
        "log_format": "json",
        "log_level": "warning",
        "access_log": Path("access.jsonl"),
        "access_log_sample": 0.5,
        "request_log": Path("requests.jsonl"),
        "request_log_sample": 0.25,
        "request_log_max_mib": 7,
        "trace_to": "https://collector:4317",
        "trace_sample": 0.125,
        "warmup": Path(__file__),
        "warmup_requests": 8,
        "warmup_seconds": 1.5,
    }
    trusted = (Path("one.pem"), Path("two.pem"))
    apart = {
        "limits",
        "connections",
        "reuse_port",
        "metrics_socket",
        "security",
        "other_protocols",
        "observing",
        "quiet",
        "store_url",  # by --models-dir; see below
    }
    assert values.keys() == {field.name for field in fields(ServerConfig)} - apart
    assert security.keys() == {field.name for field in fields(SecurityConfig)} - {"trusted_keys"}
    assert observing.keys() == {field.name for field in fields(ObservingConfig)} - {"stdout"}
    flags = values | LIMITS | CONNECTIONS | security | observing
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
    config = config_of(monkeypatch, *arguments, *(f"--trusted-key={path}" for path in trusted))
    assert config == ServerConfig(
        **values,
        limits=Limits(**LIMITS),
        connections=ConnectionLimits(**CONNECTIONS),
        security=SecurityConfig(**security, trusted_keys=trusted),
        observing=ObservingConfig(**observing),
    )
    assert config.address == "[::1]:1"
    assert decode_config(encode_config(config)) == config


def test_no_program_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerConfig().program_cache is not None
    assert config_of(monkeypatch, "--no-program-cache").program_cache is None


def test_no_other_protocols(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ServerConfig().other_protocols
    assert not config_of(monkeypatch, "--no-other-protocols").other_protocols


def test_a_reason_not_to_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run_server", lambda _: "no model")
    result = CliRunner().invoke(cli.serve, [])
    assert (result.exit_code, result.output) == (1, "Error: no model\n")


def test_help_names_every_limit() -> None:
    result = CliRunner().invoke(cli.serve, ["--help"])
    assert all(f"--{name.replace('_', '-')}" in result.output for name in LIMITS | CONNECTIONS)


def test_a_store_is_served_from_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config = config_of(monkeypatch, "--models-dir", "s3://bucket/models/")
    assert config.store_url == "s3://bucket/models"
    assert config.models_dir.parent == tmp_path / "rankserve" / "models"
    other = config_of(monkeypatch, "--models-dir", "s3://bucket/other", "--models-cache", str(tmp_path / "own"))
    assert other.models_dir.parent == tmp_path / "own"
    assert other.models_dir.name != config.models_dir.name
    assert config_of(monkeypatch, "--models-dir", f"file://{tmp_path}").models_dir == tmp_path
