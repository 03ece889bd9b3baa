"""From ratings to a published model.

Keras chooses its backend when it is first imported, and TensorFlow, which reads the data, imports it too. So the choice
is made here, before anything of this package can import either.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
