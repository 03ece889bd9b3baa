"""What training the towers raises."""


class CheckpointError(ValueError):
    """Checkpoints cannot be gone on from. The message says why and what to do."""
