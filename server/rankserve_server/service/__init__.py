"""The services as gRPC sees them: they convert messages and delegate."""
