"""PredictionService and ModelService of TF Serving."""

from rankserve_server.limits import Limits
from rankserve_server.protocols.id_tensors import wrong
from rankserve_server.protocols.messages import tensorflow_error_pb2
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.protocols.service import ProtocolService, answering
from rankserve_server.protocols.tf_serving.model_specs import answered_by, selection_in
from rankserve_server.protocols.tf_serving.prediction import PredictionPlanner
from rankserve_server.protocols.tf_serving.reloading import reload_config
from rankserve_server.protocols.tf_serving.signatures import signatures_of
from rankserve_server.service.pair_planning import PairPlanner
from rankserve_server.service.planning import Planner
from rankserve_server.versions.entry import ModelEntry, ModelState
from rankserve_server.versions.repository import Repository

_SERVICES = pb.DESCRIPTOR.services_by_name
_SIGNATURES = "signature_def"
_ANY_PREFIX = "type.googleapis.com/"
_STATES = {
    ModelState.LOADING: pb.ModelVersionStatus.LOADING,
    ModelState.READY: pb.ModelVersionStatus.AVAILABLE,
    ModelState.FAILED: pb.ModelVersionStatus.END,
}


def tf_serving(planner: Planner, repository: Repository, limits: Limits) -> list[ProtocolService]:
    """The two services."""
    prediction = PredictionPlanner(PairPlanner(planner, repository, limits), limits)
    models = _Models(repository)
    return [
        ProtocolService(
            name=_SERVICES["PredictionService"].full_name,
            scored={"Predict": prediction.predict, "Regress": prediction.regress, "Classify": prediction.classify},
            quick={"GetModelMetadata": answering(pb.GetModelMetadataRequest, models.metadata)},
        ),
        ProtocolService(
            name=_SERVICES["ModelService"].full_name,
            quick={"GetModelStatus": answering(pb.GetModelStatusRequest, models.status)},
            slow={"HandleReloadConfigRequest": answering(pb.ReloadConfigRequest, models.reload_config)},
        ),
    ]


class _Models:
    """What is asked about models, and done to them."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def metadata(self, request: pb.GetModelMetadataRequest) -> pb.GetModelMetadataResponse:
        """The signatures of a version; there is nothing else to ask for."""
        if not request.metadata_field or set(request.metadata_field) != {_SIGNATURES}:
            asked = ", ".join(map(repr, request.metadata_field)) or "nothing"
            raise wrong("metadata_field", f"should be {_SIGNATURES!r}, got {asked}")
        model = self._repository.select(**selection_in(request.model_spec))
        signatures = signatures_of(model)
        response = pb.GetModelMetadataResponse(model_spec=answered_by(model))
        packed = response.metadata[_SIGNATURES]
        packed.type_url = _ANY_PREFIX + signatures.DESCRIPTOR.full_name
        packed.value = signatures.SerializeToString()
        return response

    def status(self, request: pb.GetModelStatusRequest) -> pb.GetModelStatusResponse:
        """One version, or all that were tried, newest first."""
        spec = request.model_spec
        selection = selection_in(spec)
        if selection["version"] is not None or selection["alias"] is not None:
            entries = [self._repository.entry(**selection)]
        else:
            entries = self._repository.entries_of(spec.name)
        return pb.GetModelStatusResponse(model_version_status=map(_status, entries))

    def reload_config(self, request: pb.ReloadConfigRequest) -> pb.ReloadConfigResponse:
        """See `reload_config`."""
        reload_config(request, self._repository)
        return pb.ReloadConfigResponse(status=pb.StatusProto())


def _status(entry: ModelEntry) -> pb.ModelVersionStatus:
    failed = entry.state is ModelState.FAILED
    code = tensorflow_error_pb2.UNKNOWN if failed else tensorflow_error_pb2.OK
    status = pb.StatusProto(error_code=code, error_message=entry.message if failed else "")
    return pb.ModelVersionStatus(version=entry.version, state=_STATES[entry.state], status=status)
