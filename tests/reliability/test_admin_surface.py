"""Where admin calls are taken: at home, with a token, or at an address of their own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from integration.server_process import free_port
from rankserve_server.config import ServerConfig, TransportName
from rankserve_server.security.security_config import ReflectionMode, SecurityConfig
from reliability.test_authorisation import SECRETS, call, write_tokens
from reliability.threaded_server import threaded_server

RANK = "/rankserve.v1.RankingService/Rank"
LIST = "/rankserve.v1.ModelService/ListModels"
# Not there, so that it does nothing; only admins are told so.
ADMIN = "/rankserve.v1.ModelService/NoSuchMethod"
OTHERS_ADMIN = [
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
]
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

OK, INVALID = grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT
DENIED, UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED
WITHOUT_TOKEN = grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture(params=["aio", "direct"])
def transport(request: pytest.FixtureRequest) -> TransportName:
    name: TransportName = request.param
    return name


class Ports:
    """Calls on the public port and at the admin address."""

    def __init__(self, public: grpc.Channel, admin: grpc.Channel | None) -> None:
        self._public, self._admin = public, admin

    def public(self, method: str, secret: str | None = None) -> grpc.StatusCode:
        return call(self._public, method, secret)

    def admin(self, method: str, secret: str | None = None) -> grpc.StatusCode:
        assert self._admin is not None
        return call(self._admin, method, secret)

    def refusal(self, method: str) -> str:
        """What a caller is told."""
        start: Any = self._public.unary_unary(method)
        with pytest.raises(grpc.RpcError) as caught:
            start(b"", timeout=10)
        assert isinstance(caught.value, grpc.Call)
        return caught.value.details() or ""


@contextmanager
def ports_of(tmp_path: Path, transport: TransportName, host: str = "127.0.0.1", **security: Any) -> Iterator[Ports]:
    config = ServerConfig(host=host, transport=transport, security=SecurityConfig(**security))
    with threaded_server(config, tmp_path / "models") as address, grpc.insecure_channel(address) as public:
        admin_address = security.get("admin_address")
        admin = None if admin_address is None else grpc.insecure_channel(admin_address)
        try:
            yield Ports(public, admin)
        finally:
            if admin:
                admin.close()


def test_at_home_everybody_is_an_admin(tmp_path: Path, transport: TransportName) -> None:
    with ports_of(tmp_path, transport) as ports:
        assert [ports.public(method) for method in (RANK, LIST, ADMIN, REFLECTION)] == [INVALID, OK, UNKNOWN, OK]


def test_where_anybody_can_call_nobody_is(tmp_path: Path, transport: TransportName) -> None:
    with ports_of(tmp_path, transport, "0.0.0.0") as ports:  # noqa: S104, that is what is tested
        assert [ports.public(method) for method in (RANK, LIST, ADMIN, REFLECTION)] == [INVALID, OK, DENIED, OK]
        told = ports.refusal(ADMIN)
        assert "--tokens-file" in told
        assert "--admin-address" in told


@pytest.mark.parametrize("kind", ["unix", "port"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104, that is what is tested
def test_an_address_for_admins_is_the_only_one(tmp_path: Path, transport: TransportName, kind: str, host: str) -> None:
    path = tmp_path / "admin.sock"
    address = f"unix:{path}" if kind == "unix" else f"127.0.0.1:{free_port()}"
    with ports_of(tmp_path, transport, host, admin_address=address) as ports:
        assert [ports.public(method) for method in (RANK, LIST, ADMIN, REFLECTION)] == [INVALID, OK, DENIED, UNKNOWN]
        assert "--admin-address" in ports.refusal(ADMIN)
        assert [ports.admin(method) for method in (RANK, LIST, ADMIN, REFLECTION)] == [UNKNOWN, OK, UNKNOWN, OK]
        # Those of other protocols, which then ask for the name of a model.
        assert [(ports.public(method), ports.admin(method)) for method in OTHERS_ADMIN] == [(DENIED, INVALID)] * 3
        if kind == "unix":
            assert path.stat().st_mode & 0o777 == 0o600
    if kind == "unix":
        with socket.socket(socket.AF_UNIX) as probe, pytest.raises(OSError):  # noqa: PT011, gone or refusing
            probe.connect(str(path))


def test_an_address_for_admins_does_not_replace_tokens(tmp_path: Path, transport: TransportName) -> None:
    tokens, address = write_tokens(tmp_path / "tokens.toml"), f"unix:{tmp_path}/admin.sock"
    with ports_of(tmp_path, transport, tokens_file=tokens, admin_address=address) as ports:
        assert [ports.public(ADMIN, SECRETS[name]) for name in ("rank", "admin")] == [DENIED, DENIED]
        assert ports.public(ADMIN) is WITHOUT_TOKEN
        assert [ports.admin(ADMIN, SECRETS[name]) for name in ("rank", "admin")] == [DENIED, UNKNOWN]
        assert ports.admin(ADMIN) is WITHOUT_TOKEN


@pytest.mark.parametrize(
    ("mode", "public", "admin"), [("auto", UNKNOWN, OK), ("on", OK, OK), ("off", UNKNOWN, UNKNOWN)]
)
def test_where_reflection_is(
    tmp_path: Path, transport: TransportName, mode: ReflectionMode, public: grpc.StatusCode, admin: grpc.StatusCode
) -> None:
    with ports_of(tmp_path, transport, reflection=mode, admin_address=f"unix:{tmp_path}/admin.sock") as ports:
        assert (ports.public(REFLECTION), ports.admin(REFLECTION)) == (public, admin)
