"""ModelService on grpc.aio."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from rankserve.v1 import models_pb2, models_pb2_grpc
from rankserve_server.repository import ModelEntry, ModelState, Repository
from rankserve_server.service.calls import Calls, Context
from rankserve_server.service.selector import selection_of
from rankserve_training.artifact import Manifest

_STATES = {
    ModelState.LOADING: models_pb2.MODEL_STATE_LOADING,
    ModelState.READY: models_pb2.MODEL_STATE_READY,
    ModelState.FAILED: models_pb2.MODEL_STATE_FAILED,
}


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """Lists and describes what the repository has."""

    def __init__(self, repository: Repository, calls: Calls) -> None:
        self._repository = repository
        self._calls = calls

    async def ListModels(  # noqa: N802, named by the proto
        self,
        request: models_pb2.ListModelsRequest,  # noqa: ARG002, it has no fields
        context: Context,
    ) -> models_pb2.ListModelsResponse:
        """Every version that was tried, by name, newest first."""
        return await self._calls.answer(context, self._list())

    async def GetModel(self, request: models_pb2.GetModelRequest, context: Context) -> models_pb2.GetModelResponse:  # noqa: N802
        """One version."""
        return await self._calls.answer(context, self._get(request))

    async def _list(self) -> models_pb2.ListModelsResponse:
        return models_pb2.ListModelsResponse(models=[self._describe(entry) for entry in self._repository.entries()])

    async def _get(self, request: models_pb2.GetModelRequest) -> models_pb2.GetModelResponse:
        entry = self._repository.entry(**selection_of(request.model))
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
