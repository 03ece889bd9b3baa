"""Versions in object storage, or anywhere else that fsspec reaches: `s3://bucket/models` in place of MODELS_DIR.

The layout is that of a directory, but a version is there from when its `manifest.json` is, which is written last. What
is used of a version is first copied to a cache on the machine and verified there; see `rankserve_training.artifact`.
"""
