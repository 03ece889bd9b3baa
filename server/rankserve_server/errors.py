"""What can be wrong with a request, without a word of gRPC. `service/status.py` maps each to its status."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field.

    Attributes:
        field: its path, such as `candidate_ids` or `model.version`; empty for the whole request.
        description: what was wrong, with the value, and what to do.
    """

    field: str
    description: str

    def __str__(self) -> str:
        return f"{self.field}: {self.description}" if self.field else self.description


class RequestError(Exception):
    """The request cannot be answered. The message says why and what to do."""


class InvalidRequestError(RequestError):
    """A field is out of its range."""

    def __init__(self, *violations: Violation) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = violations


class UnknownModelError(RequestError):
    """The model, its version or alias is not served.

    Attributes:
        resource_type: `rankserve.v1.Model`.
        resource_name: as asked for, such as `movielens/7`.
    """

    resource_type = "rankserve.v1.Model"

    def __init__(self, resource_name: str, message: str) -> None:
        super().__init__(message)
        self.resource_name = resource_name


class UnknownServiceError(RequestError):
    """The health is asked of a service that is not there."""


class UnsupportedError(RequestError):
    """The model cannot do what the request asks for."""


class OverloadedError(RequestError):
    """More work is queued than the server accepts.

    Attributes:
        retry_after: seconds until it is worth trying again.
    """

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExpiredError(RequestError):
    """The caller's deadline passed while the request was queued."""


class NotReadyError(RequestError):
    """The server is loading its models or shutting down."""


class StoppingError(NotReadyError):
    """A signal came while something was being loaded."""


class ConflictError(RequestError):
    """What is asked for cannot be done to the models as they are."""


class StorageError(RequestError):
    """What is asked for cannot be kept on disk."""


class StoreDownError(RequestError):
    """What is asked for needs the store of the models, which cannot be used now."""


class UnauthenticatedError(RequestError):
    """Nobody knows who is calling."""


class PermissionDeniedError(RequestError):
    """The caller may not do this, or not here."""
