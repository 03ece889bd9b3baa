"""What a user's own Keras model may be made of: classes of Keras that compute, and hold nothing but numbers.

None of them runs code that comes with a file, reads files or draws random numbers when it predicts, and none makes its
output larger than its configuration's weights and its input allow. What only training uses is left out when a model is
published; a file that somebody has trained may name it.
"""

_LAYERS = {
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "BatchNormalization",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "ELU",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "GroupNormalization",
    "Identity",
    "InputLayer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout1D",
    "Subtract",
    "UnitNormalization",
}
_MODELS = {"Functional", "Sequential"}
# What `user * item` and `keras.ops.sum(...)` become in a model's graph.
_OPERATIONS = {
    "Absolute",
    "Clip",
    "Divide",
    "Exp",
    "ExpandDims",
    "Gelu",
    "Log",
    "Matmul",
    "Mean",
    "Negative",
    "Power",
    "Relu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Sqrt",
    "Square",
    "Squeeze",
    "Sum",
    "Tanh",
    "TrueDivide",
}
_TRAINING = {
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "L1",
    "L1L2",
    "L2",
    "LecunNormal",
    "LecunUniform",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "Ones",
    "Orthogonal",
    "OrthogonalRegularizer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "UnitNorm",
    "VarianceScaling",
    "Zeros",
}

KERAS_CLASSES = frozenset({*_LAYERS, *_MODELS, *_OPERATIONS, *_TRAINING, "DTypePolicy"})

# Layers that do nothing when a model predicts.
TRAINING_LAYERS = frozenset(
    {"ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D"}
)
