"""What a reader of artifacts raises."""


class ArtifactError(ValueError):
    """A version cannot be found, read or trusted. The message says which, why and, where possible, what to do."""
