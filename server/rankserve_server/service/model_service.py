"""ModelService."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version

import grpc

from rankserve.v1 import catalog_pb2, models_pb2, models_pb2_grpc
from rankserve_server.errors import InvalidRequestError, RequestError, Violation
from rankserve_server.limits import Limits
from rankserve_server.observing.seen_call import current_request_id, with_trailers_of_call
from rankserve_server.service.catalog_answers import CatalogAnswers
from rankserve_server.service.model_description import model_message
from rankserve_server.service.selector import selection_of
from rankserve_server.service.status import call_status_of
from rankserve_server.versions import plan_changes
from rankserve_server.versions.entry import ModelEntry
from rankserve_server.versions.plan_changes import PlanChange
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer

_VERSION = installed_version("rankserve")


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Describes what the repository has, and changes it. Its methods run on threads, on every transport."""

    def __init__(self, repository: Repository, shadows: ShadowScorer, limits: Limits) -> None:
        self._repository = repository
        self._shadows = shadows
        self._catalog = CatalogAnswers(repository, limits)

    def ListModels(
        self,
        request: models_pb2.ListModelsRequest,  # noqa: ARG002, it has no fields
        context: grpc.ServicerContext,  # noqa: ARG002, gRPC passes it
    ) -> models_pb2.ListModelsResponse:
        """Every version that was tried, by name, newest first."""
        described = self._described(self._repository.entries())
        return models_pb2.ListModelsResponse(models=described, server_version=_VERSION)

    def GetModel(
        self, request: models_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> models_pb2.GetModelResponse:
        """One version."""
        with _errors_told(context):
            entry = self._repository.entry(**selection_of(request.model))
        (model,) = self._described([entry])
        return models_pb2.GetModelResponse(model=model)

    def Reload(self, request: models_pb2.ReloadRequest, context: grpc.ServicerContext) -> models_pb2.ReloadResponse:
        """Looks at the directory at once."""
        with _errors_told(context):
            entries = self._repository.reload(request.name, request.retry_quarantined)
        return models_pb2.ReloadResponse(models=self._described(entries))

    def ChangeServing(
        self, request: models_pb2.ChangeServingRequest, context: grpc.ServicerContext
    ) -> models_pb2.ChangeServingResponse:
        """Changes which versions answer."""
        with _errors_told(context):
            entries = self._repository.change_plan(request.name, change_of(request))
        return models_pb2.ChangeServingResponse(models=self._described(entries))

    def GetItems(
        self, request: catalog_pb2.GetItemsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetItemsResponse:
        """Items by their ids."""
        with _errors_told(context):
            return self._catalog.items(request)

    def SearchItems(
        self, request: catalog_pb2.SearchItemsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.SearchItemsResponse:
        """Items by words of their titles."""
        with _errors_told(context):
            return self._catalog.search(request)

    def GetUser(
        self, request: catalog_pb2.GetUserRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetUserResponse:
        """What a version knows of a user."""
        with _errors_told(context):
            return self._catalog.user(request)

    def GetBaseline(
        self, request: catalog_pb2.GetBaselineRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetBaselineResponse:
        """What means alone predict."""
        with _errors_told(context):
            return self._catalog.baseline(request)

    def _described(self, entries: Iterable[ModelEntry]) -> list[models_pb2.Model]:
        return [model_message(entry, self._repository.roles(entry), self._shadows) for entry in entries]


def change_of(request: models_pb2.ChangeServingRequest) -> PlanChange:
    """What a request wants of a model's plan.

    Raises:
        InvalidRequestError: where it wants nothing, or a field is out of its range.
    """
    match request.WhichOneof("change"):
        case "promote":
            return plan_changes.promote(request.promote.version)
        case "roll_back":
            return plan_changes.roll_back()
        case "pin":
            return plan_changes.pin(request.pin.version if request.pin.HasField("version") else None)
        case "unpin":
            return plan_changes.unpin()
        case "set_alias":
            return plan_changes.set_alias(request.set_alias.alias, request.set_alias.version)
        case "delete_alias":
            return plan_changes.delete_alias(request.delete_alias.alias)
        case "set_canary":
            return plan_changes.set_canary(request.set_canary.version, request.set_canary.percent)
        case "set_shadow":
            return plan_changes.set_shadow(request.set_shadow.version, request.set_shadow.percent)
    raise InvalidRequestError(Violation("change", "none is set, or one that this server does not know; set one"))


@contextmanager
def _errors_told(context: grpc.ServicerContext) -> Iterator[None]:
    """Ends the call with the status of what is raised."""
    try:
        yield
    except RequestError as error:
        code, message, trailers = call_status_of(error, current_request_id())
        context.set_trailing_metadata(with_trailers_of_call(trailers))
        context.abort(code, message)
