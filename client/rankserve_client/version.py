"""The version of the distribution, one for client, server and training."""

__version__ = "0.1.0"
