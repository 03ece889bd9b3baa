"""TLS on both sides of the gateway, and tokens that the server itself checks."""

import http.client
import json
import ssl
from pathlib import Path

from integration.gateway.gateway_process import running_gateway
from rankserve_server.config import ServerConfig
from rankserve_server.security.scopes import Scope
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.security.tokens import Token, digest_of
from reliability.certificates import Authority
from reliability.threaded_server import threaded_server

SECRET = f"ranker-{'x' * 30}"


def test_tls_and_tokens_all_the_way(tmp_path: Path) -> None:
    authority = Authority()
    trusted = authority.write(tmp_path)
    cert, key = authority.pair().write(tmp_path, "server")
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(Token("ranker", digest_of(SECRET), [Scope.RANK]).encode(), encoding="utf-8")
    config = ServerConfig(security=SecurityConfig(cert, key, tokens_file=tokens))
    https = ("--http-cert", str(cert), "--http-key", str(key))
    with (
        threaded_server(config, tmp_path / "models") as address,
        running_gateway(tmp_path / "errors", "--server", address, "--tls-ca", str(trusted), *https) as gateway,
    ):
        connection = http.client.HTTPSConnection(
            gateway.address, timeout=30, context=ssl.create_default_context(cafile=str(trusted))
        )
        statuses = {}
        for token in (None, "wrong", SECRET):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            connection.request("GET", "/api/v1/models", headers=headers)
            response = connection.getresponse()
            statuses[token] = response.status, json.loads(response.read()).get("code")
        connection.close()
    assert statuses == {None: (401, "UNAUTHENTICATED"), "wrong": (401, "UNAUTHENTICATED"), SECRET: (200, None)}
