"""Whether the gateway lives, and whether the server behind it answers."""

from http import HTTPStatus

from msgspec import Struct

from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.operations import PROBES, Operation
from rankserve_client.gateway.problems import BadRequestError


class Health(Struct, frozen=True):
    """How it is."""

    status: str


async def healthz(_call: Call) -> Health:
    """Whether the gateway lives, whatever the server does."""
    return Health("ok")


async def readyz(call: Call) -> Health:
    """Whether the server answers requests."""
    if await call.upstream.is_serving():
        return Health("ready")
    raise BadRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the ranking server does not say that it serves")


OPERATIONS = (
    Operation("GET", "/healthz", "healthz", "Whether the gateway lives.", healthz, PROBES, Health, open=True),
    Operation("GET", "/readyz", "readyz", "Whether the server answers.", readyz, PROBES, Health, open=True),
)
