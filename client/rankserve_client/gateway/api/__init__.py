"""The gateway's own API: the messages of gRPC as JSON, with the same names."""
