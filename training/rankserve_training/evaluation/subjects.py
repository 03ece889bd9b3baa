"""What an evaluation says of the model that was trained for it."""

from rankserve_training.evaluation.held_out import Subject, evaluate_held_out
from rankserve_training.evaluation.models import ModelScorer
from rankserve_training.evaluation.result import Epoch, EvaluationResult
from rankserve_training.train import TrainedModel


def subject_of(trained: TrainedModel, name: str, protocol: str, version: str = "new") -> Subject:
    """A trained model as the subject of an evaluation."""
    dataset = trained.dataset
    return Subject(
        name=name,
        version=version,
        dataset=dataset.name,
        protocol=protocol,
        scale=dataset.scale,
        user_ids=dataset.users.ids,
        titles=dataset.items.titles,
    )


def evaluate_trained(trained: TrainedModel, name: str) -> EvaluationResult:
    """A trained model on the rows that were held out for it."""
    data = trained.data
    scorer = ModelScorer(trained.keras_model, len(data.items))
    subject = subject_of(trained, name, "held-out ratings")
    return evaluate_held_out(subject, scorer, data.train, data.test, learning_curve(trained))


def learning_curve(trained: TrainedModel) -> list[Epoch]:
    """The errors by epoch, as far as they were measured. The training error is that of the mean loss, with dropout."""
    return [Epoch(log.epoch, None, log.validation) for log in trained.logs.get("ratings", [])]
