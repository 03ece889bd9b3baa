"""The Open Inference Protocol, version 2, which the clients of Triton, KServe and MLServer speak."""
