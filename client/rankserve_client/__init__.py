"""Client of rankserve: orders candidate items for a user over gRPC, by predicted rating or by likely choice.

`RankingClient` blocks, `AsyncRankingClient` is the same for asyncio.
"""

from rankserve_client.async_client import AsyncRankingClient
from rankserve_client.catalog import Baseline, FoundItems, Item, UserInfo
from rankserve_client.client import RankingClient
from rankserve_client.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    FieldViolation,
    HandshakeFailed,
    InvalidRequest,
    MessageTooLarge,
    ModelNotFound,
    NotSupported,
    Overloaded,
    PermissionDenied,
    RankServeError,
    Resource,
    ServerError,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from rankserve_client.model_info import Abilities, DatasetInfo, ModelInfo, ModelState, ShadowReport
from rankserve_client.policies import Keepalive, RetryPolicy
from rankserve_client.query import NewItem, Order, RankBy, RankQuery, UnknownItems, UnknownUser
from rankserve_client.ranking import Ranking, UserBasis
from rankserve_client.results import RankResult
from rankserve_client.serving_changes import (
    DeleteAlias,
    Pin,
    Promote,
    RollBack,
    ServingChange,
    SetAlias,
    SetCanary,
    SetShadow,
    Unpin,
)
from rankserve_client.tls import Tls
from rankserve_client.version import __version__

__all__ = [
    "Abilities",
    "AsyncRankingClient",
    "Baseline",
    "Cancelled",
    "Conflict",
    "DatasetInfo",
    "DeadlineExceeded",
    "DeleteAlias",
    "FieldViolation",
    "FoundItems",
    "HandshakeFailed",
    "InvalidRequest",
    "Item",
    "Keepalive",
    "MessageTooLarge",
    "ModelInfo",
    "ModelNotFound",
    "ModelState",
    "NewItem",
    "NotSupported",
    "Order",
    "Overloaded",
    "PermissionDenied",
    "Pin",
    "Promote",
    "RankBy",
    "RankQuery",
    "RankResult",
    "RankServeError",
    "Ranking",
    "RankingClient",
    "Resource",
    "RetryPolicy",
    "RollBack",
    "ServerError",
    "ServingChange",
    "SetAlias",
    "SetCanary",
    "SetShadow",
    "ShadowReport",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "UnknownItems",
    "UnknownUser",
    "Unpin",
    "Unreachable",
    "UserBasis",
    "UserInfo",
    "__version__",
]
