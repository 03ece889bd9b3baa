"""The stubs of tensorflow-serving-api, with tensors and examples made by TensorFlow."""

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    input_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from integration.peers.cases import Case, address, cases, print_answers

MODEL = "movielens"


def example(**ids: int) -> tf.train.Example:
    features = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[id_])) for name, id_ in ids.items()}
    return tf.train.Example(features=tf.train.Features(feature=features))


def predict_request(case: Case) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(case.users))
    request.inputs["item_id"].CopyFrom(tf.make_tensor_proto(case.items))
    return request


def input_of(case: Case) -> input_pb2.Input:
    """With a context where there is one user."""
    found = input_pb2.Input()
    if len(case.users) == 1:
        found.example_list_with_context.context.CopyFrom(example(user_id=int(case.users[0])))
        examples = [example(item_id=int(item)) for item in case.items]
        found.example_list_with_context.examples.extend(examples)
    else:
        pairs = zip(case.users, case.items, strict=True)
        found.example_list.examples.extend(example(user_id=int(user), item_id=int(item)) for user, item in pairs)
    return found


def main() -> None:
    with grpc.insecure_channel(address()) as channel:
        prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        predicted = [
            tf.make_ndarray(prediction.Predict(predict_request(case)).outputs["score"])
            for case in [*cases(), *cases(np.int32)]
        ]
        regressed, classified = [], []
        for case in cases():
            request = regression_pb2.RegressionRequest(input=input_of(case))
            request.model_spec.name = MODEL
            regressed.append([each.value for each in prediction.Regress(request).result.regressions])
            request = classification_pb2.ClassificationRequest(input=input_of(case))
            request.model_spec.name = MODEL
            classes = [each.classes[0] for each in prediction.Classify(request).result.classifications]
            assert [each.label for each in classes] == [str(item) for item in case.items]
            classified.append([each.score for each in classes])
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = MODEL
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert prediction.GetModelMetadata(asked).metadata["signature_def"].Unpack(signatures)
        default = signatures.signature_def["serving_default"]
        status_asked = get_model_status_pb2.GetModelStatusRequest()
        status_asked.model_spec.name = MODEL
        (status,) = models.GetModelStatus(status_asked).model_version_status
        reload_asked = model_management_pb2.ReloadConfigRequest()
        config = reload_asked.config.model_config_list.config.add(name=MODEL)
        config.version_labels["stable"] = 1
        reloaded = models.HandleReloadConfigRequest(reload_asked)
        labelled = predict_request(cases()[0])
        labelled.model_spec.version_label = "stable"
        answered = prediction.Predict(labelled).model_spec
    print_answers(
        [*predicted, *regressed, *classified],
        inputs=sorted(default.inputs),
        outputs=sorted(default.outputs),
        dtype=tf.as_dtype(default.inputs["item_id"].dtype).name,
        method=default.method_name,
        status=[status.version, get_model_status_pb2.ModelVersionStatus.State.Name(status.state)],
        reloaded=reloaded.status.error_code,
        answered=[answered.name, answered.version.value, answered.signature_name],
    )


if __name__ == "__main__":
    main()
