"""The engine: one model version, compiled."""
