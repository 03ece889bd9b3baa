"""Calls, batches and loads as spans of OpenTelemetry."""
