"""A store of S3's kind on loopback, which can go away and come back with all that is in it."""

from http.client import HTTPConnection
from pathlib import Path

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
