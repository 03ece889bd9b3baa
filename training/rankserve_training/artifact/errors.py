"""What a reader of artifacts raises."""


class ArtifactError(ValueError):
    """A version cannot be found, read or trusted. The message says which, why and, where possible, what to do."""


class UntrustedError(ArtifactError):
    """Nobody has signed the version whom this reader trusts; another reader may."""
