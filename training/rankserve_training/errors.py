"""What training raises that is nobody else's."""


class MissingExtraError(ValueError):
    """A package is needed that is not installed. The message says how to install it."""
