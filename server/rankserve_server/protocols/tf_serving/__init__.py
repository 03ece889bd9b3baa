"""TensorFlow Serving, whose clients send tensors or examples."""
