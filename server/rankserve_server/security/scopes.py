"""Which scope a method needs: the one place that says so. What is not named here is for admins."""

import enum


class Scope(enum.Enum):
    """What a token is good for; `admin` includes `rank`."""

    RANK = "rank"
    ADMIN = "admin"


def _methods(service: str, *names: str) -> frozenset[str]:
    return frozenset(f"/{service}/{name}" for name in names)


_OPEN_INFERENCE = "inference.GRPCInferenceService"
_OPEN_METHODS = _methods("grpc.health.v1.Health", "Check", "Watch") | _methods(
    _OPEN_INFERENCE, "ServerLive", "ServerReady"
)
_RANK_SERVICE = "/rankserve.v1.RankingService/"
_RANK_METHODS = (
    _methods("rankserve.v1.ModelService", "ListModels", "GetModel", "GetItems", "SearchItems", "GetUser", "GetBaseline")
    | _methods(_OPEN_INFERENCE, "ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics")
    | _methods(_OPEN_INFERENCE, "RepositoryIndex", "ModelInfer", "ModelStreamInfer")
    | _methods("tensorflow.serving.PredictionService", "Predict", "Regress", "Classify", "GetModelMetadata")
    | _methods("tensorflow.serving.ModelService", "GetModelStatus")
)
_REFLECTION_SERVICES = "/grpc.reflection."


def scope_of(method: str) -> Scope | None:
    """The scope that `/package.Service/Method` needs; None for what probes ask without a token."""
    if method.startswith(_RANK_SERVICE) or method in _RANK_METHODS:
        return Scope.RANK
    return None if method in _OPEN_METHODS else Scope.ADMIN


def is_reflection(method: str) -> bool:
    """Whether a method only tells what services there are."""
    return method.startswith(_REFLECTION_SERVICES)
