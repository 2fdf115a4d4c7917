"""Sources of the data in `input/`: Kaggle, a file, a folder, or a dataset of scikit-learn or Keras."""

from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.data.sources.fetching import FetchReport, fetch, place

__all__ = ["FetchReport", "ImageArrays", "fetch", "place"]
