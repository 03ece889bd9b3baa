"""ModelService."""

from datetime import datetime

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from rankserve.v1 import models_pb2, models_pb2_grpc
from rankserve_server.errors import RequestError
from rankserve_server.repository import ModelEntry, ModelState, Repository
from rankserve_server.service.selector import selection_of
from rankserve_server.service.status import STATUS_DETAILS_KEY, code_of, status_of
from rankserve_training.artifact import Manifest

_STATES = {
    ModelState.LOADING: models_pb2.MODEL_STATE_LOADING,
    ModelState.READY: models_pb2.MODEL_STATE_READY,
    ModelState.FAILED: models_pb2.MODEL_STATE_FAILED,
}


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Lists and describes what the repository has. Its methods run on threads, on every transport."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def ListModels(
        self,
        request: models_pb2.ListModelsRequest,  # noqa: ARG002, it has no fields
        context: grpc.ServicerContext,  # noqa: ARG002, gRPC passes it
    ) -> models_pb2.ListModelsResponse:
        """Every version that was tried, by name, newest first."""
        return models_pb2.ListModelsResponse(models=[self._describe(entry) for entry in self._repository.entries()])

    def GetModel(
        self, request: models_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> models_pb2.GetModelResponse:
        """One version."""
        try:
            entry = self._repository.entry(**selection_of(request.model))
        except RequestError as error:
            status = status_of(error)
            context.set_trailing_metadata(((STATUS_DETAILS_KEY, status.SerializeToString()),))
            context.abort(code_of(error), status.message)
        return models_pb2.GetModelResponse(model=self._describe(entry))

    def _describe(self, entry: ModelEntry) -> models_pb2.Model:
        model = models_pb2.Model(
            name=entry.name,
            version=entry.version,
            state=_STATES[entry.state],
            state_message=entry.message,
            is_default=self._repository.is_default(entry),
        )
        if entry.model is not None:
            model.MergeFrom(_from_manifest(entry.model.manifest))
            abilities = entry.model.abilities
            model.abilities.MergeFrom(
                models_pb2.Abilities(
                    history=abilities.history,
                    user_features=abilities.user_features,
                    new_items=abilities.new_items,
                    choice=abilities.choice,
                )
            )
        return model


def _from_manifest(manifest: Manifest) -> models_pb2.Model:
    created = Timestamp()
    created.FromDatetime(datetime.fromisoformat(manifest.created))
    return models_pb2.Model(
        create_time=created,
        preset=manifest.training.preset,
        dataset=models_pb2.Dataset(
            name=manifest.dataset.name,
            fingerprint=manifest.dataset.fingerprint,
            rating_count=manifest.dataset.rating_count,
        ),
        metrics=manifest.metrics,
        user_count=manifest.users.count,
        item_count=manifest.items.count,
        rating_min=manifest.rating_scale.minimum,
        rating_max=manifest.rating_scale.maximum,
        library_versions=manifest.library_versions,
    )
