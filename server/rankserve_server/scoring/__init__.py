"""Whole populations scored into files: `rankserve score`."""
