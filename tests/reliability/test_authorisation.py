"""Who may call what: every method, called by everybody, on both transports. No cell is left to another one's proof.

The methods are read from the descriptors, so that a new one is covered as soon as it is there; who may call it is said
here once more, apart from the server's own words.
"""

import enum
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.config import ServerConfig
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2
from rankserve_server.security.scopes import Scope
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.security.tokens import Token, digest_of
from reliability.certificates import Authority
from reliability.threaded_server import status_of, threaded_server

TRANSPORTS: Final = ("aio", "direct")
_FILES: Final = (ranking_pb2, models_pb2, health_pb2, reflection_pb2, open_inference_pb2, tf_serving_pb2)
DESCRIBED: Final = [
    f"/{service.full_name}/{method.name}"
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
# Methods that do not exist are for admins, who are told so; nobody else learns what there is.
UNKNOWN: Final = ["/rankserve.v1.ModelService/NoSuchMethod", "/other.v1.Service/Method", "/grpc.health.v2.Health/Check"]
OPEN_INFERENCE: Final = "/inference.GRPCInferenceService/"
FOR_EVERYBODY: Final = {
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    f"{OPEN_INFERENCE}ServerLive",
    f"{OPEN_INFERENCE}ServerReady",
}
FOR_RANKING: Final = {
    "/rankserve.v1.RankingService/Rank",
    "/rankserve.v1.RankingService/BatchRank",
    "/rankserve.v1.RankingService/RankStream",
    "/rankserve.v1.ModelService/ListModels",
    "/rankserve.v1.ModelService/GetModel",
    "/rankserve.v1.ModelService/GetItems",
    "/rankserve.v1.ModelService/SearchItems",
    "/rankserve.v1.ModelService/GetUser",
    "/rankserve.v1.ModelService/GetBaseline",
    f"{OPEN_INFERENCE}ServerMetadata",
    f"{OPEN_INFERENCE}ModelReady",
    f"{OPEN_INFERENCE}ModelMetadata",
    f"{OPEN_INFERENCE}ModelConfig",
    f"{OPEN_INFERENCE}ModelStatistics",
    f"{OPEN_INFERENCE}RepositoryIndex",
    f"{OPEN_INFERENCE}ModelInfer",
    f"{OPEN_INFERENCE}ModelStreamInfer",
    "/tensorflow.serving.PredictionService/Predict",
    "/tensorflow.serving.PredictionService/Regress",
    "/tensorflow.serving.PredictionService/Classify",
    "/tensorflow.serving.PredictionService/GetModelMetadata",
    "/tensorflow.serving.ModelService/GetModelStatus",
}
SECRETS: Final = {name: f"{name}-{'x' * 30}" for name in ("wrong", "expired", "rank", "admin")}
SECONDS: Final = 10


class Caller(enum.Enum):
    """Who calls. All but the last three have a certificate that the server takes."""

    NO_TOKEN = "no token"
    WRONG_TOKEN = "wrong token"
    EXPIRED_TOKEN = "expired token"
    RANK = "scope rank"
    ADMIN = "scope admin"
    NO_CERTIFICATE = "no client certificate"
    OTHER_CERTIFICATE = "client certificate of another CA"
    OTHER_SERVER_CA = "trusts another CA"


_SECRET_OF: Final = {
    Caller.WRONG_TOKEN: "wrong",
    Caller.EXPIRED_TOKEN: "expired",
    Caller.RANK: "rank",
}
_WITHOUT_CONNECTION: Final = (Caller.NO_CERTIFICATE, Caller.OTHER_CERTIFICATE, Caller.OTHER_SERVER_CA)


def outcome(method: str, caller: Caller) -> grpc.StatusCode | None:
    """With which status a call is refused; None where it reaches the method."""
    if caller in _WITHOUT_CONNECTION:
        return grpc.StatusCode.UNAVAILABLE
    if method in FOR_EVERYBODY or caller is Caller.ADMIN:
        return None
    if caller is Caller.RANK:
        return None if method in FOR_RANKING else grpc.StatusCode.PERMISSION_DENIED
    return grpc.StatusCode.UNAUTHENTICATED


def write_tokens(path: Path) -> Path:
    """A file with those of SECRETS that the server is to know."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    tokens = [
        Token("expired", digest_of(SECRETS["expired"]), [Scope.ADMIN], past),
        Token("rank", digest_of(SECRETS["rank"]), [Scope.RANK]),
        Token("admin", digest_of(SECRETS["admin"]), [Scope.ADMIN], past + timedelta(hours=1)),
    ]
    path.write_text("\n".join(token.encode() for token in tokens), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module", params=TRANSPORTS)
def address(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server that asks for certificates and tokens."""
    directory = tmp_path_factory.mktemp("authorisation")
    cert, key = authority.pair().write(directory, "server")
    security = SecurityConfig(cert, key, authority.write(directory), write_tokens(directory / "tokens.toml"))
    with threaded_server(ServerConfig(transport=request.param, security=security), directory / "models") as address:
        yield address


@pytest.fixture(scope="module")
def channels(address: str, authority: Authority) -> Iterator[dict[Caller, grpc.Channel]]:
    """One connection for each caller."""
    known, other = authority.pair("client"), Authority.other()
    unusual = {
        Caller.NO_CERTIFICATE: authority.channel_credentials(),
        Caller.OTHER_CERTIFICATE: authority.channel_credentials(other.pair("client")),
        Caller.OTHER_SERVER_CA: other.channel_credentials(known),
    }
    usual = authority.channel_credentials(known)
    # Its own connection for each: gRPC would otherwise let those with equal credentials share one.
    options = [("grpc.use_local_subchannel_pool", 1)]
    opened = {caller: grpc.secure_channel(address, unusual.get(caller, usual), options) for caller in Caller}
    yield opened
    for channel in opened.values():
        channel.close()


def call(channel: grpc.Channel, method: str, secret: str | None, scheme: str = "Bearer") -> grpc.StatusCode:
    """Calls a method with one empty message, whatever it takes."""
    metadata = () if secret is None else (("authorization", f"{scheme} {secret}"),)
    start: Any = channel.stream_stream(method)
    return status_of(start(iter([b""]), timeout=SECONDS, metadata=metadata))


@pytest.mark.parametrize("method", [*DESCRIBED, *UNKNOWN])
@pytest.mark.parametrize("caller", Caller, ids=lambda caller: caller.value)
def test_a_cell(channels: dict[Caller, grpc.Channel], caller: Caller, method: str) -> None:
    # Those without a connection have the best token that there is.
    secret = None if caller is Caller.NO_TOKEN else SECRETS[_SECRET_OF.get(caller, "admin")]
    code = call(channels[caller], method, secret)
    expected = outcome(method, caller)
    if expected is not None:
        assert code is expected
    elif method in UNKNOWN:
        assert code is grpc.StatusCode.UNIMPLEMENTED
    else:
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}  # what it says of an empty message
