"""The REST of TensorFlow Serving."""
