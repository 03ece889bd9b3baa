"""How good a model is, whichever model it is: what is measured, on which rows, how surely, and how it is shown."""
