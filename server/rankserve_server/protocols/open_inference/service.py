"""GRPCInferenceService."""

from collections.abc import Callable
from importlib.metadata import version as installed_version

from rankserve_server.errors import RequestError
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.protocols.id_tensors import ITEM, SCORE, USER, wrong
from rankserve_server.protocols.messages import open_inference_pb2 as pb
from rankserve_server.protocols.model_names import selection_of
from rankserve_server.protocols.open_inference.inference import InferencePlanner, refuse_streamed
from rankserve_server.protocols.open_inference.statistics import Statistics
from rankserve_server.protocols.service import ProtocolService, ScoredStream, answering
from rankserve_server.service.pair_planning import PairPlanner
from rankserve_server.service.planning import Planner
from rankserve_server.versions.entry import ModelEntry, ModelState
from rankserve_server.versions.repository import Repository

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
_PLATFORM = "rankserve"
# Of Triton's extensions: those whose methods are here.
_EXTENSIONS = ("model_repository", "model_configuration", "statistics")
_STATES = {ModelState.LOADING: "LOADING", ModelState.READY: "READY", ModelState.FAILED: "UNAVAILABLE"}
_UNLOADED = "UNAVAILABLE"
# Any number, in the shape of a tensor.
_ANY = -1


def open_inference(
    planner: Planner, repository: Repository, limits: Limits, is_serving: Callable[[], bool]
) -> ProtocolService:
    """The service; `is_serving` says whether the server answers requests."""
    statistics = Statistics()
    inference = InferencePlanner(PairPlanner(planner, repository, limits), statistics)
    models = _Models(repository, limits, statistics, is_serving)
    return ProtocolService(
        name=SERVICE,
        scored={"ModelInfer": inference.plan},
        streams={"ModelStreamInfer": ScoredStream(inference.plan_streamed, refuse_streamed)},
        quick={
            "ServerLive": answering(pb.ServerLiveRequest, lambda _: pb.ServerLiveResponse(live=True)),
            "ServerReady": answering(pb.ServerReadyRequest, lambda _: pb.ServerReadyResponse(ready=is_serving())),
            "ServerMetadata": answering(pb.ServerMetadataRequest, lambda _: _server_metadata()),
            "ModelReady": answering(pb.ModelReadyRequest, models.ready),
            "ModelMetadata": answering(pb.ModelMetadataRequest, models.metadata),
            "ModelConfig": answering(pb.ModelConfigRequest, models.config),
            "ModelStatistics": answering(pb.ModelStatisticsRequest, models.statistics),
            "RepositoryIndex": answering(pb.RepositoryIndexRequest, models.index),
        },
        slow={
            "RepositoryModelLoad": answering(pb.RepositoryModelLoadRequest, models.load),
            "RepositoryModelUnload": answering(pb.RepositoryModelUnloadRequest, models.unload),
        },
    )


class _Models:
    """What is asked about models, and done to them."""

    def __init__(
        self, repository: Repository, limits: Limits, statistics: Statistics, is_serving: Callable[[], bool]
    ) -> None:
        self._repository = repository
        self._limits = limits
        self._statistics = statistics
        self._is_serving = is_serving

    def ready(self, request: pb.ModelReadyRequest) -> pb.ModelReadyResponse:
        """Whether a version answers; one that nobody knows does not."""
        try:
            self._select(request.name, request.version)
        except RequestError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=self._is_serving())

    def metadata(self, request: pb.ModelMetadataRequest) -> pb.ModelMetadataResponse:
        """The tensors of a model. The first dimension is that of a batch, as in `config`."""
        model = self._select(request.name, request.version)
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name=model.name,
            versions=[str(entry.version) for entry in reversed(self._ready(model.name))],
            platform=_PLATFORM,
            inputs=[
                tensor(name=USER, datatype="INT64", shape=[_ANY, 1]),
                tensor(name=ITEM, datatype="INT64", shape=[_ANY, _ANY]),
            ],
            outputs=[tensor(name=SCORE, datatype="FP32", shape=[_ANY, _ANY])],
        )

    def config(self, request: pb.ModelConfigRequest) -> pb.ModelConfigResponse:
        """The same for Triton's clients: a batch has a row for each user, with his items."""
        model = self._select(request.name, request.version)
        config = pb.ModelConfig(
            name=model.name,
            platform=_PLATFORM,
            backend=_PLATFORM,
            max_batch_size=self._limits.max_batch_requests,
            input=[
                pb.ModelInput(name=USER, data_type=pb.TYPE_INT64, dims=[1]),
                pb.ModelInput(name=ITEM, data_type=pb.TYPE_INT64, dims=[_ANY]),
            ],
            output=[pb.ModelOutput(name=SCORE, data_type=pb.TYPE_FP32, dims=[_ANY])],
        )
        return pb.ModelConfigResponse(config=config)

    def statistics(self, request: pb.ModelStatisticsRequest) -> pb.ModelStatisticsResponse:
        """Those of one version, of all of a model, or of all."""
        if request.version:
            model = self._select(request.name, request.version)
            versions = [(model.name, model.version)]
        else:
            name = self._select(request.name, "").name if request.name else ""
            versions = [(entry.name, entry.version) for entry in self._ready(name)]
        found = [self._statistics.of_version(*each).message(*each) for each in versions]
        return pb.ModelStatisticsResponse(model_stats=found)

    def index(self, request: pb.RepositoryIndexRequest) -> pb.RepositoryIndexResponse:
        """Every version that was tried, and every model that was unloaded."""
        model_index = pb.RepositoryIndexResponse.ModelIndex
        self._repository.check_ready()
        found = [
            model_index(name=e.name, version=str(e.version), state=_STATES[e.state], reason=e.message)
            for e in self._repository.entries()
            if e.state is ModelState.READY or not request.ready
        ]
        if not request.ready:
            unloaded = self._repository.unloaded_names()
            found += [model_index(name=name, state=_UNLOADED, reason="unloaded") for name in unloaded]
        return pb.RepositoryIndexResponse(models=found)

    def load(self, request: pb.RepositoryModelLoadRequest) -> pb.RepositoryModelLoadResponse:
        """Looks at a model's directory at once, and loads it where it was unloaded."""
        name = _named(request)
        if request.parameters:
            parameters = ", ".join(sorted(request.parameters))
            raise wrong("parameters", f"a model is loaded as it lies in the directory, without: {parameters}")
        self._repository.load_model(name)
        return pb.RepositoryModelLoadResponse(model_name=name, isLoaded=True)

    def unload(self, request: pb.RepositoryModelUnloadRequest) -> pb.RepositoryModelUnloadResponse:
        """Takes a model out of service until it is loaded again."""
        name = _named(request)
        self._repository.unload_model(name)
        return pb.RepositoryModelUnloadResponse(model_name=name, isUnloaded=True)

    def _select(self, name: str, version: str) -> LoadedModel:
        return self._repository.select(**selection_of(name, version))

    def _ready(self, name: str) -> list[ModelEntry]:
        """The versions of a model that answer, newest first; of all models where there is no name."""
        entries = self._repository.entries()
        return [entry for entry in entries if entry.state is ModelState.READY and name in ("", entry.name)]


def _named(request: pb.RepositoryModelLoadRequest | pb.RepositoryModelUnloadRequest) -> str:
    """The model that is meant; see the proto for the two places."""
    name = request.model_name or request.repository_name
    if not name:
        raise wrong("model_name", "should name a model")
    return name


def _server_metadata() -> pb.ServerMetadataResponse:
    return pb.ServerMetadataResponse(name="rankserve", version=installed_version("rankserve"), extensions=_EXTENSIONS)
