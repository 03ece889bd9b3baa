"""ModelService."""

from collections.abc import Iterable
from importlib.metadata import version as installed_version

from rankserve.v1 import catalog_pb2, models_pb2
from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.limits import Limits
from rankserve_server.protocols.service import Answer, answering
from rankserve_server.service.catalog_answers import CatalogAnswers
from rankserve_server.service.model_description import model_message
from rankserve_server.service.selector import selection_of
from rankserve_server.versions import plan_changes
from rankserve_server.versions.entry import ModelEntry
from rankserve_server.versions.plan_changes import PlanChange
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer

_VERSION = installed_version("rankserve")


class ModelService:
    """Describes what the repository has, and changes it. Its methods run on threads, on every transport.

    Each takes its request and returns its response, or raises a RequestError.
    """

    def __init__(self, repository: Repository, shadows: ShadowScorer, limits: Limits) -> None:
        self._repository = repository
        self._shadows = shadows
        self._catalog = CatalogAnswers(repository, limits)

    def answers(self) -> dict[str, Answer]:
        """Its methods by name, as the transports take those of every service."""
        return {
            "ListModels": answering(models_pb2.ListModelsRequest, self.list_models),
            "GetModel": answering(models_pb2.GetModelRequest, self.get_model),
            "Reload": answering(models_pb2.ReloadRequest, self.reload),
            "ChangeServing": answering(models_pb2.ChangeServingRequest, self.change_serving),
            "GetItems": answering(catalog_pb2.GetItemsRequest, self._catalog.items),
            "SearchItems": answering(catalog_pb2.SearchItemsRequest, self._catalog.search),
            "GetUser": answering(catalog_pb2.GetUserRequest, self._catalog.user),
            "GetBaseline": answering(catalog_pb2.GetBaselineRequest, self._catalog.baseline),
        }

    def list_models(self, _request: models_pb2.ListModelsRequest) -> models_pb2.ListModelsResponse:
        """Every version that was tried, by name, newest first."""
        described = self._described(self._repository.entries())
        return models_pb2.ListModelsResponse(models=described, server_version=_VERSION)

    def get_model(self, request: models_pb2.GetModelRequest) -> models_pb2.GetModelResponse:
        """One version."""
        (model,) = self._described([self._repository.entry(**selection_of(request.model))])
        return models_pb2.GetModelResponse(model=model)

    def reload(self, request: models_pb2.ReloadRequest) -> models_pb2.ReloadResponse:
        """Looks at the directory at once."""
        entries = self._repository.reload(request.name, request.retry_quarantined)
        return models_pb2.ReloadResponse(models=self._described(entries))

    def change_serving(self, request: models_pb2.ChangeServingRequest) -> models_pb2.ChangeServingResponse:
        """Changes which versions answer."""
        entries = self._repository.change_plan(request.name, change_of(request))
        return models_pb2.ChangeServingResponse(models=self._described(entries))

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
