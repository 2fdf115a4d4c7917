"""scikit-learn's digits in MNIST's form, for the demo and the tests; needs no network."""

import numpy as np

from digit_recognizer.data.dataset import DIGITS
from digit_recognizer.data.digit_images import place
from digit_recognizer.data.sources.arrays import ImageArrays

TEST_ROWS = 360


def load() -> ImageArrays:
    """Return scikit-learn's `load_digits` (1,797 of 8x8), split 1,437/360, stratified, seed 0, scaled to 28x28 as MNIST."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.stack([place(image / 16, side=28) for image in digits.images])[..., np.newaxis]
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=TEST_ROWS, stratify=digits.target, random_state=0
    )
    return ImageArrays(train, train_labels, test, test_labels, DIGITS)
