"""How `rankserve serve --engine ray` deploys. Imports nothing of Ray."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RaySettings:
    """What Ray is told of the replicas.

    Attributes:
        address: of a running cluster; None to start one of this machine alone, which ends with the command.
        http_port: where Ray Serve's HTTP proxy listens, on loopback; the one thing that needs it is Ray itself.
        replicas: how many there are, at least and at most: between the two, Ray follows the load.
        cpus: processors that Ray reserves for a replica.
        per_node: replicas of one node at most; None for any number.
        version: of the default model, that the replicas serve; None for what the operator's plan says.
        application: its name, which callers send as `application` where a cluster has several.
    """

    address: str | None = None
    http_port: int = 8_000
    replicas: tuple[int, int] = (1, 1)
    cpus: float = 1.0
    per_node: int | None = None
    version: int | None = None
    application: str = "rankserve"
