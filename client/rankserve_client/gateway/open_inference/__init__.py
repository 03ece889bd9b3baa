"""The REST of the Open Inference Protocol, version 2, with Triton's extension for binary tensors."""
