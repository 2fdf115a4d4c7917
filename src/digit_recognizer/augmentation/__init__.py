"""Augmentation of training images: one policy (`experiment.Augmentation`) and two engines that apply it.

`batched` resamples a whole batch at once with NumPy and OpenCV. `albumentations` transforms image by image, which is several
times slower, and also applies other transforms of that library by name.
"""

from collections.abc import Callable

import numpy as np

from digit_recognizer.experiment import Augmentation

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def build(policy: Augmentation, image_shape: tuple[int, int, int]) -> Augment:
    """Return `augment(images, random)`, which maps uint8 (n, *image_shape) to a new array and draws only from `random`."""
    if not policy.active:
        return lambda images, random: images
    if policy.engine == "albumentations":
        from digit_recognizer.augmentation import albumentations_engine

        return albumentations_engine.build(policy, image_shape)
    from digit_recognizer.augmentation import batched

    return lambda images, random: batched.augment(images, policy, random)
