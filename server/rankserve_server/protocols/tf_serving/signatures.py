"""What GetModelMetadata tells: the signatures of a model."""

from collections.abc import Sequence

import numpy as np

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.protocols.id_tensors import ITEM, SCORE, USER
from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from rankserve_server.protocols.tf_serving.model_specs import CLASSIFY, DEFAULT_SIGNATURE, PREDICT, REGRESS
from rankserve_server.protocols.tf_serving.tensors import shape_of

_ANY = -1
_INT32 = np.iinfo(np.int32)


def signatures_of(model: LoadedModel) -> pb.SignatureDefMap:
    """All of them; the one of Predict is the default one too."""
    ids = _ids_dtype(model)
    predict = _signature("predict", {USER: ids, ITEM: ids}, {SCORE: tf.DT_FLOAT})
    regress = _signature("regress", {"inputs": tf.DT_STRING}, {"outputs": tf.DT_FLOAT})
    classify = _signature("classify", {"inputs": tf.DT_STRING}, {"classes": tf.DT_STRING, "scores": tf.DT_FLOAT})
    return pb.SignatureDefMap(
        signature_def={DEFAULT_SIGNATURE: predict, PREDICT: predict, REGRESS: regress, CLASSIFY: classify}
    )


def _signature(
    method: str, inputs: dict[str, tf.DataType.ValueType], outputs: dict[str, tf.DataType.ValueType]
) -> tf.SignatureDef:
    return tf.SignatureDef(
        inputs={name: _tensor(name, dtype, [_ANY]) for name, dtype in inputs.items()},
        outputs={name: _tensor(name, dtype, [_ANY]) for name, dtype in outputs.items()},
        method_name=f"tensorflow/serving/{method}",
    )


def _tensor(name: str, dtype: tf.DataType.ValueType, shape: Sequence[int]) -> tf.TensorInfo:
    return tf.TensorInfo(name=f"{name}:0", dtype=dtype, tensor_shape=shape_of(shape))


def _ids_dtype(model: LoadedModel) -> tf.DataType.ValueType:
    """What to send. Both are taken; perf_analyzer, which sends what it reads here, spoils int64."""
    largest = max(model.manifest.users.maximum, model.manifest.items.maximum)
    return tf.DT_INT32 if largest <= _INT32.max else tf.DT_INT64
