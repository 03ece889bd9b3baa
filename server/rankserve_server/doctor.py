"""What `rankserve doctor` looks at for a server: models, port, files, security. It imports neither Keras nor JAX."""

import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rankserve_server.config import ServerConfig, user_program_cache
from rankserve_server.security.addresses import is_loopback
from rankserve_server.security.checking import check_security
from rankserve_server.security.options import security_of
from rankserve_server.starting import StartError, bound
from rankserve_server.storage.options import placed
from rankserve_server.transport import grpc_core
from rankserve_training.artifact import ArtifactError, list_names, list_versions, read_artifact
from rankserve_training.artifact.signing import read_trusted_keys
from rankserve_training.artifact.storage.errors import StoreError
from rankserve_training.artifact.storage.store import Store

# Of files that are no connections: models, libraries, logs.
_OTHER_FILES = 256
_LITTLE_SPACE = 2**30
_LOAD_SECONDS = 300.0
_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_Settings = Mapping[str, Any]
_Announce = Callable[[str], None]


def findings(settings: _Settings, given: frozenset[str], announce: _Announce) -> Iterator[dict[str, str]]:
    """Looks at what a server with these settings of `rankserve serve` would need.

    Args:
        settings: by the names of its parameters.
        given: the names of those that are not defaults.
        announce: is told what takes its time.

    Yields:
        `check`, `status` (ok, warn, fail or skip), `found` and `advice`.
    """
    yield _transport(settings)
    yield _port(settings)
    yield _security(settings)
    yield _program_cache(settings)
    yield _open_files(settings)
    yield from _models(settings, "models_dir" in given, announce)


def _finding(check: str, status: str, found: str, advice: str = "") -> dict[str, str]:
    return {"check": check, "status": status, "found": found, "advice": advice}


def _transport(settings: _Settings) -> dict[str, str]:
    reason = grpc_core.unsupported_reason()
    if settings["transport"] == "aio":
        return _finding("transport", "ok", "aio, as asked for")
    if reason is None:
        return _finding("transport", "ok", "direct")
    release = grpc_core.TESTED_GRPCIO[-1]
    return _finding("transport", "warn", f"aio, which is slower: {reason}", f"pip install grpcio=={release}")


def _port(settings: _Settings) -> dict[str, str]:
    host, port = settings["host"], settings["port"]
    address = ServerConfig(host=host, port=port).address
    try:
        bound(host, port)
    except OSError as error:
        advice = "unless it is the server that you look for, choose another with --port"
        return _finding("port", "warn", f"{address} cannot be listened on: {error.strerror}", advice)
    return _finding("port", "ok", f"{address} is free")


def _security(settings: _Settings) -> dict[str, str]:
    security = security_of(settings)
    config = ServerConfig(host=settings["host"], port=settings["port"], workers=settings["workers"], security=security)
    logging.getLogger("rankserve_server.security").setLevel(logging.ERROR)  # its warnings are findings here
    try:
        check_security(config)
    except StartError as error:
        return _finding("security", "fail", str(error), "correct the files or options that it names")
    tls = "TLS" if security.tls_cert else "no TLS"
    tokens = "tokens" if security.tokens_file else "no tokens"
    found = f"{tls}, {tokens}, on {settings['host']}"
    known = security.tokens_file or security.tls_client_ca
    if not is_loopback(settings["host"]) and not (security.tls_cert and known):
        advice = "give --tls-cert and --tls-key, and --tokens-file or --tls-client-ca"
        return _finding("security", "warn", f"{found}: others can reach it", advice)
    return _finding("security", "ok", found)


def _program_cache(settings: _Settings) -> dict[str, str]:
    """Only looks: a server makes the directory when it needs it."""
    directory: Path | None = settings["program_cache"] or user_program_cache()
    if settings["no_program_cache"] or directory is None:
        return _finding("program cache", "skip", "none: every start compiles anew")
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    if not os.access(there, os.W_OK):
        return _finding("program cache", "warn", f"{directory} cannot be written", "choose another: --program-cache")
    if there == directory and there.stat().st_mode & _FOR_OTHERS:
        advice = f"chmod go-w {directory}"
        return _finding("program cache", "warn", f"others can write to {directory}, so it is not used", advice)
    return _finding("program cache", "ok", str(directory))


def _open_files(settings: _Settings) -> dict[str, str]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings["max_connections"] + _OTHER_FILES
    found = f"{limit:,} may be open at once" if limit != resource.RLIM_INFINITY else "any number may be open"
    if resource.RLIM_INFINITY != limit < wanted:
        advice = f"ulimit -n {wanted} (systemd: LimitNOFILE=), or a lower --max-connections"
        return _finding("open files", "warn", f"{found}, --max-connections is {settings['max_connections']:,}", advice)
    return _finding("open files", "ok", found)


def _models(settings: _Settings, given: bool, announce: _Announce) -> Iterator[dict[str, str]]:
    place: Path | str = settings["models_dir"]
    if isinstance(place, str):
        yield _store(place, settings["models_cache"])
        models_dir: Path = placed(place, settings["models_cache"])["models_dir"]
        if not list_names(models_dir):
            return
    else:
        models_dir = place
    names = list_names(models_dir)
    if not names:
        what = "holds no models" if models_dir.is_dir() else "does not exist"
        advice = f"publish one: rankserve train --models-dir {models_dir}"
        yield _finding("models directory", "fail" if given else "warn", f"{models_dir} {what}", advice)
        return
    yield _disk(models_dir)
    for name in names:
        newest, *others = reversed(list_versions(models_dir / name))
        yield _loadable(models_dir / name / str(newest), settings, announce)
        yield from (_verified(models_dir / name / str(version), settings, announce) for version in others)


def _store(url: str, cache: Path | None) -> dict[str, str]:
    """Only looks: a server copies what it needs."""
    try:
        versions = Store(url).versions()
    except StoreError as error:
        kept = placed(url, cache)["models_dir"]
        advice = f"a server would start with the versions in {kept}" if list_names(kept) else "correct what it names"
        return _finding("models store", "warn" if list_names(kept) else "fail", str(error), advice)
    if not versions:
        return _finding(
            "models store", "fail", f"{url} holds no models", f"publish one: rankserve train --models-dir {url}"
        )
    newest = ", ".join(f"{name}/{max(numbers)}" for name, numbers in sorted(versions.items()))
    return _finding("models store", "ok", f"{url} can be read; the newest: {newest}")


def _disk(models_dir: Path) -> dict[str, str]:
    free = shutil.disk_usage(models_dir).free
    found = f"{models_dir.absolute()}, {free / 2**30:,.1f} GiB free"
    if free < _LITTLE_SPACE:
        return _finding("models directory", "warn", found, "delete versions that nobody needs any more")
    return _finding("models directory", "ok", found)


def _verified(version: Path, settings: _Settings, announce: _Announce) -> dict[str, str]:
    check = f"{version.parent.name}/{version.name}"
    announce(f"checking the files of {check}")
    try:
        read_artifact(version, read_trusted_keys(settings["trusted_keys"]))
    except (ArtifactError, OSError) as error:
        return _finding(check, "warn", str(error), f"delete {version}, or publish it anew")
    return _finding(check, "ok", "its files are whole; an older version, not loaded")


def _loadable(version: Path, settings: _Settings, announce: _Announce) -> dict[str, str]:
    """By a process of its own, which imports Keras and JAX."""
    check = f"{version.parent.name}/{version.name}"
    announce(f"loading {check}")
    keys = [argument for key in settings["trusted_keys"] for argument in ("--trusted-key", str(key))]
    command = [sys.executable, "-m", "rankserve_server.verifying", str(version), *keys]
    command += ["--max-table-mib", str(settings["max_table_mib"])]
    advice = f"publish a good version; rankserve models verify {version} says more"
    try:
        process = subprocess.run(  # noqa: S603  # no shell; our own program, and paths as arguments of their own
            command, capture_output=True, text=True, timeout=_LOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _finding(check, "fail", f"not loaded within {_LOAD_SECONDS:.0f} s", advice)
    if process.returncode == 0:
        return _finding(check, "ok", "its files are whole, it loads, and gives the scores that it was published with")
    lines = process.stderr.strip().splitlines() or [f"the process that loads it ended with {process.returncode}"]
    return _finding(check, "fail", lines[-1].removeprefix("Error: "), advice)
