"""Everything between a source of ratings and a `Dataset`. Importing it imports neither TensorFlow nor TFDS."""

from rankserve_training.data.dataset import Dataset, Description, Items, Ratings, RatingScale, Users
from rankserve_training.data.errors import DataError
from rankserve_training.data.files import load_files
from rankserve_training.data.load import DATASETS, load
from rankserve_training.data.movielens import load_movielens

__all__ = [
    "DATASETS",
    "DataError",
    "Dataset",
    "Description",
    "Items",
    "RatingScale",
    "Ratings",
    "Users",
    "load",
    "load_files",
    "load_movielens",
]
