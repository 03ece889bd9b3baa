"""What a client needs to be let in, as one value that can go to other processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rankserve_client.tls import Tls


@dataclass(frozen=True, slots=True)
class Security:
    """The arguments of the same names of the clients. The token itself stays in its file."""

    tls: Tls | bool = False
    token_file: Path | None = None
    insecure_token: bool = False

    def arguments(self) -> dict[str, Any]:
        """For the constructor of a client."""
        return {"tls": self.tls, "token_file": self.token_file, "insecure_token": self.insecure_token}


NO_SECURITY = Security()
