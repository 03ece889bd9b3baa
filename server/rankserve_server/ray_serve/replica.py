"""One replica, as Ray calls it."""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from ray.serve.grpc_util import RayServegRPCContext

from rankserve_server.config import decode_config
from rankserve_server.ray_serve.methods import METHODS, Method
from rankserve_server.starting import StartError

_log = logging.getLogger(__name__)


class EncodedMessage:
    """An answer, as bytes already: what Ray uses of a message."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def SerializeToString(self) -> bytes:  # noqa: N802, Ray calls it, as it does of messages
        """The bytes."""
        return self._encoded


class Ranking:
    """Ray finds the methods of the services by their names; those are added below."""

    async def __init__(self, config: str, version: int | None) -> None:  # type: ignore[misc]  # Ray awaits it
        """Loads the models; Ray lets calls in when that is done.

        Args:
            config: see `encode_config`.
            version: of the default model, that this replica is to serve; None for what the operator's plan says.
        """
        # Imported here and not with the module, which Ray's controller and the process that deploys import too.
        from rankserve_server.ray_serve.replica_server import ReplicaServer

        self._server = ReplicaServer(decode_config(config), version)
        try:
            await self._server.start()
        except StartError as error:
            raise RuntimeError(str(error)) from None

    def check_health(self) -> None:
        """Ray asks again and again, and replaces a replica for which this raises."""
        self._server.check_serving()

    async def __del__(self) -> None:
        """Ray awaits it when the replica ends, after its calls have."""
        if hasattr(self, "_server"):
            await self._server.stop()


def _unary(method: Method) -> Callable[..., Any]:
    async def answer(self: Ranking, request: bytes, grpc_context: RayServegRPCContext) -> EncodedMessage:
        return EncodedMessage(await self._server.answer(method, request, grpc_context))

    return answer


def _stream(method: Method) -> Callable[..., Any]:
    async def answer(
        self: Ranking, request: AsyncIterator[bytes], grpc_context: RayServegRPCContext
    ) -> AsyncIterator[EncodedMessage]:
        async for message in self._server.stream(method, request, grpc_context):
            yield EncodedMessage(message)

    return answer


for _method in METHODS:
    _answer = _stream(_method) if _method.gives_stream else _unary(_method)
    _answer.__name__ = _method.name
    setattr(Ranking, _method.name, _answer)
