"""Sources of the data in `input/`: Kaggle, a file, a folder, or a dataset of scikit-learn or Keras."""

from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.data.sources.fetching import fetch, place

__all__ = ["ImageArrays", "fetch", "place"]
