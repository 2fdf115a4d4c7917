"""Bringing data to `input/`: from Kaggle, a file, a folder, or a data set that a library holds."""

from digit_recognizer.data.sources.arrays import ImageArrays
from digit_recognizer.data.sources.fetching import FetchReport, fetch, place

__all__ = ["FetchReport", "ImageArrays", "fetch", "place"]
