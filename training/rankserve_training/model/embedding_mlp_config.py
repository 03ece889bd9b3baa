"""The sizes of the tutorial's model, apart from it, so that naming them does not import Keras."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EmbeddingMlpConfig:
    """Sizes, by default those of the tutorial.

    Attributes:
        embedding_width: of the user and the item embedding.
        hidden_widths: of the dense layers with ReLU between the embeddings and the output.
    """

    embedding_width: int = 32
    hidden_widths: tuple[int, ...] = (256, 64)
