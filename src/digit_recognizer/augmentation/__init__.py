"""Random changes to training images: one policy (`experiment.Augmentation`), two engines that give the same pixels for it.

`batched` resamples a whole batch at once with NumPy and OpenCV. `albumentations` goes image by image, several times slower, and
takes any further transform of that library by name.
"""

from collections.abc import Callable

import numpy as np

from digit_recognizer.experiment import Augmentation

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def build(policy: Augmentation, image_shape: tuple[int, int, int]) -> Augment:
    """Return `augment(images, random)`: uint8 (n, *image_shape) to new arrays of that shape, drawn from `random` alone."""
    if not policy.active:
        return lambda images, random: images
    if policy.engine == "albumentations":
        from digit_recognizer.augmentation import albumentations_engine

        return albumentations_engine.build(policy, image_shape)
    from digit_recognizer.augmentation import batched

    return lambda images, random: batched.augment(images, policy, random)
