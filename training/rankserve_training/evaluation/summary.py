"""The figures of an evaluation that a manifest keeps."""

from rankserve_training.evaluation.result import EvaluationResult

_KEPT = ("ndcg_at_5", "ndcg_at_10", "mrr", "pairwise_accuracy", "catalogue_ndcg_at_10", "recall_at_10", "coverage")


def ranking_metrics(result: EvaluationResult) -> dict[str, float]:
    """How well the model ranks, by name: `test_` and the key of the measure. What is not defined is left out."""
    found = {key: result.models[0].measure(key) for key in _KEPT}
    return {f"test_{key}": measure.value for key, measure in found.items() if measure is not None}
