"""What the health service says (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), on every transport.

grpc_health's own servicers hold a thread for each open Watch, can lock themselves up, or log each Watch that a shutdown
ends as an error.
"""

from collections.abc import Mapping, Sequence

from grpc_health.v1 import health_pb2

from rankserve_server.errors import UnknownServiceError
from rankserve_server.service.conversion import parsed

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """The status of each service. One thread sets it, any may ask.

    Attributes:
        changes: how often it was set; who watches need not look before that goes up.
    """

    def __init__(self, services: Sequence[str]) -> None:
        """All of them are not serving yet."""
        self._services = tuple(services)
        self._statuses: dict[str, int] = dict.fromkeys(services, _NOT_SERVING)
        self.changes = 0

    def set(self, status: int) -> None:
        """Sets the status of all services, and of all models that are known."""
        self._statuses = dict.fromkeys(self._statuses, status)
        self.changes += 1

    def set_models(self, ready: Mapping[str, bool]) -> None:
        """Says which models and versions there are, by name, and whether they answer."""
        models = {name: _SERVING if is_ready else _NOT_SERVING for name, is_ready in ready.items()}
        self._statuses = {name: self._statuses[name] for name in self._services} | models
        self.changes += 1

    def check(self, request: bytes) -> bytes:
        """Answers Check.

        Raises:
            UnknownServiceError: where there is no such service.
            InvalidRequestError: where the bytes are no request.
        """
        service = self.service_of(request)
        status = self._statuses.get(service)
        if status is None:
            raise UnknownServiceError(f"there is no service {service!r}")
        return _encoded(status)

    def list(self, request: bytes) -> bytes:
        """Answers List.

        Raises:
            InvalidRequestError: where the bytes are no request.
        """
        parsed(health_pb2.HealthListRequest, request)  # type: ignore[attr-defined]  # its types are from before List
        statuses = {name: health_pb2.HealthCheckResponse(status=status) for name, status in self._statuses.items()}
        response = health_pb2.HealthListResponse(statuses=statuses)  # type: ignore[attr-defined]  # its types are from before List
        encoded: bytes = response.SerializeToString()
        return encoded

    def service_of(self, request: bytes) -> str:
        """The service that Check or Watch ask of.

        Raises:
            InvalidRequestError: where the bytes are no request.
        """
        return parsed(health_pb2.HealthCheckRequest, request).service

    def watched(self, service: str) -> bytes:
        """What Watch tells now; there it is no error that there is no such service, as it may come."""
        return _encoded(self._statuses.get(service, _SERVICE_UNKNOWN))


def _encoded(status: int) -> bytes:
    return health_pb2.HealthCheckResponse(status=status).SerializeToString()
