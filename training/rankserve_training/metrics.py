"""How far predicted ratings are from the given ones."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def rmse(predicted: Floats, given: Floats) -> float:
    """Root of the mean squared error of n predictions, in stars. Sums in float64."""
    return float(np.sqrt(np.mean(np.square(_errors(predicted, given)))))


def mae(predicted: Floats, given: Floats) -> float:
    """Mean absolute error of n predictions, in stars. Sums in float64."""
    return float(np.mean(np.abs(_errors(predicted, given))))


def _errors(predicted: Floats, given: Floats) -> npt.NDArray[np.float64]:
    if predicted.shape != given.shape or given.ndim != 1 or not len(given):
        raise ValueError(f"shapes should be (n,) and equal, not {predicted.shape} and {given.shape}.")
    return predicted.astype(np.float64) - given.astype(np.float64)
