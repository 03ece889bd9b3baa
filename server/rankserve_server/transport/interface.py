"""What the server's life needs of a transport."""

from collections.abc import Mapping
from typing import Protocol


class Transport(Protocol):
    """A gRPC server with all services, on one event loop.

    Attributes:
        name: `aio` or `direct`.
    """

    name: str

    @property
    def in_flight(self) -> int:
        """How many requests are being answered."""

    @property
    def queued_candidates(self) -> int:
        """How many candidates of accepted requests are not scored yet."""

    @property
    def turns(self) -> int:
        """Goes up all the time while requests are being looked at; where it does not, the transport hangs."""

    def listen(self, address: str) -> int:
        """Takes HOST:PORT and returns the port.

        Raises:
            RuntimeError: where it cannot be had.
        """

    async def start(self) -> None:
        """Takes calls; the health service says NOT_SERVING."""

    async def set_serving(self) -> None:
        """Makes the health service say SERVING."""

    async def set_not_serving(self) -> None:
        """Makes the health service say NOT_SERVING, for good."""

    def set_models_health(self, ready: Mapping[str, bool]) -> None:
        """What the health service says of models and versions, by name; on the event loop, while it serves."""

    async def drain(self, seconds: float) -> int:
        """Refuses new requests, ends open streams, and waits at most so long for the requests in flight.

        Returns:
            How many were in flight when the time was up. Those that are refused after that are none.
        """

    async def stop(self, at_once: bool) -> None:
        """Closes every connection and frees everything.

        Args:
            at_once: whether answers on their way are cut off.
        """
