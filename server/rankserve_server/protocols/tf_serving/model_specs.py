"""Which model, version and signature a request means, and which one has answered."""

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.protocols.id_tensors import wrong
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.protocols.model_names import selection_of
from rankserve_server.service.selector import Selection

DEFAULT_SIGNATURE = "serving_default"
PREDICT, REGRESS, CLASSIFY = "predict", "regression", "classification"


def selection_in(spec: pb.ModelSpec) -> Selection:
    """What the repository is asked for. A label is an alias; some clients send a number as one."""
    if spec.WhichOneof("version_choice") == "version":
        return {"name": spec.name, "version": spec.version.value, "alias": None}
    return selection_of(spec.name, spec.version_label)


def signature_in(spec: pb.ModelSpec, own: str) -> str:
    """The signature that is meant; `own` is the one of the method, beside the default one.

    Raises:
        InvalidRequestError: where it is another one.
    """
    signature = spec.signature_name or DEFAULT_SIGNATURE
    if signature not in (DEFAULT_SIGNATURE, own):
        raise wrong(
            "model_spec.signature_name",
            f"this method knows the signatures {DEFAULT_SIGNATURE} and {own}, got {signature!r}",
        )
    return signature


def answered_by(model: LoadedModel, signature: str = "") -> pb.ModelSpec:
    """The version that has answered."""
    spec = pb.ModelSpec(name=model.name, signature_name=signature)
    spec.version.value = model.version
    return spec
