"""Requests with their answers in a file, and what is done with them again."""
