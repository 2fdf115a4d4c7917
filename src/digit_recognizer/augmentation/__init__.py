"""Random changes to training images: one policy (`experiment.Augmentation`), and two engines with the same results.

`batched` resamples a whole batch at once with NumPy and OpenCV. `albumentations` transforms image by image, which is several
times slower, and takes any other transform of that library by name.
"""

from collections.abc import Callable

import numpy as np

from digit_recognizer.experiment import Augmentation

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def build(policy: Augmentation, image_shape: tuple[int, int, int]) -> Augment:
    """Return `augment(images, random)`, from uint8 (n, *image_shape) to new arrays of that shape; all draws are `random`'s."""
    if not policy.active:
        return lambda images, random: images
    if policy.engine == "albumentations":
        from digit_recognizer.augmentation import albumentations_engine

        return albumentations_engine.build(policy, image_shape)
    from digit_recognizer.augmentation import batched

    return lambda images, random: batched.augment(images, policy, random)
