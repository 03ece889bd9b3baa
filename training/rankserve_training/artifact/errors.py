"""What a reader of artifacts raises."""


class ArtifactError(ValueError):
    """A version cannot be found, read or trusted. The message says which, why and, where possible, what to do.

    Attributes:
        fault: what kind of fault it is, one word of a few, for those who count; `invalid` where nothing else is said.
    """

    fault = "invalid"

    def __init__(self, message: str, fault: str = "") -> None:
        """`fault` is that of the class unless it is given."""
        super().__init__(message)
        self.fault = fault or self.fault


class DamagedError(ArtifactError):
    """A file is missing, cut short or changed."""

    fault = "damaged"


class UntrustedError(ArtifactError):
    """Nobody has signed the version whom this reader trusts; another reader may."""

    fault = "untrusted"


def fault_of(error: BaseException) -> str:
    """What kind of fault an error says that it is; "" where it says nothing."""
    return str(getattr(error, "fault", ""))
