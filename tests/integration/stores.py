"""A store of S3's kind on loopback, which can go away and come back with all that is in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "bucket"
URL = f"s3://{BUCKET}/models"


class LocalStore:
    """Moto's server."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        _, self._port = self._server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": "access",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        self._monkeypatch = monkeypatch
        self.s3 = boto3.client("s3")
        self._forget()
        self.s3.create_bucket(Bucket=BUCKET)

    def put(self, path: str, content: bytes) -> None:
        """Writes an object, given below the URL."""
        self.s3.put_object(Bucket=BUCKET, Key=f"models/{path}", Body=content)

    def get(self, path: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket=BUCKET, Key=f"models/{path}")["Body"].read()
        return content

    def names(self) -> list[str]:
        """Everything that there is, below the URL."""
        found = self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return sorted(entry["Key"].removeprefix("models/") for entry in found)

    def add(self, version: Path, but: tuple[str, ...] = ()) -> None:
        """Copies MODELS_DIR/NAME/VERSION, its manifest last."""
        for path in sorted(version.iterdir(), key=lambda path: path.name == "manifest.json"):
            if path.name not in but:
                self.put(f"{version.parent.name}/{version.name}/{path.name}", path.read_bytes())

    @contextmanager
    def answering(self, methods: str, status: int | None, code: str = "") -> Iterator[list[str]]:
        """Requests of methods, such as "GET HEAD", get this error, or where `status` is None no answer; others that of
        the store.

        Gives the paths of those that were refused so, as they come.
        """
        refused: list[str] = []
        port = self._port

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.command in methods.split():
                    refused.append(self.path)
                    error = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                    if status is not None:
                        self._send(status, {"Content-Type": "application/xml"}, error)
                    return
                store = HTTPConnection("127.0.0.1", port)
                store.request(self.command, self.path, body, dict(self.headers))
                given = store.getresponse()
                self._send(given.status, dict(given.getheaders()), given.read())
                store.close()

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815  # the names that are called

            def log_message(self, *_: object) -> None:
                """To nobody."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
            Thread(target=proxy.serve_forever, args=(0.02,)).start()
            with self._monkeypatch.context() as patch:
                patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
                try:
                    yield refused
                finally:
                    proxy.shutdown()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        """Again, on the same port and with the same content."""
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()

    def _forget(self) -> None:
        """What another test has left: the content is the process's."""
        connection = HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/moto-api/reset")
        connection.getresponse().read()
        connection.close()
