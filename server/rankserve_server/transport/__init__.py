"""How requests reach the services: over grpcio's public asyncio API, or through a faster lane of our own."""
