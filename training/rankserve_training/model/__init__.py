"""The ranking models: how they are built with Keras, loaded from a file, and reduced to what serving needs.

A ranking model, as an artifact holds it, is a Keras model with two inputs, `user` and `item`: int32[n], rows of its
embedding tables (1..n for known ids, 0 for unknown ones), and one output, float32[n, 1]: predicted ratings on the
data set's own scale. Of which form it is between these, its manifest says with an `architecture`: `embedding_mlp` and
`two_tower`, which are folded for serving, or `keras`, anything else (see `generic` and `own_model`).
"""
