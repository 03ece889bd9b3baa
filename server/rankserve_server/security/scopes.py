"""Which scope a method needs: the one place that says so. What is not named here is for admins."""

import enum


class Scope(enum.Enum):
    """What a token is good for; `admin` includes `rank`."""

    RANK = "rank"
    ADMIN = "admin"


_OPEN_METHODS = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"})
_RANK_SERVICE = "/rankserve.v1.RankingService/"
_RANK_METHODS = frozenset({"/rankserve.v1.ModelService/ListModels", "/rankserve.v1.ModelService/GetModel"})
_REFLECTION_SERVICES = "/grpc.reflection."


def scope_of(method: str) -> Scope | None:
    """The scope that `/package.Service/Method` needs; None for what probes ask without a token."""
    if method.startswith(_RANK_SERVICE) or method in _RANK_METHODS:
        return Scope.RANK
    return None if method in _OPEN_METHODS else Scope.ADMIN


def is_reflection(method: str) -> bool:
    """Whether a method only tells what services there are."""
    return method.startswith(_REFLECTION_SERVICES)
