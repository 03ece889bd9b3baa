"""The commands of training. They import what is heavy only when they run."""
