"""The Albumentations engine: the same policy, and any other transform of that library. The only module that imports it."""

import os
import warnings
from typing import Any

import cv2
import numpy as np

from digit_recognizer.augmentation import Augment
from digit_recognizer.errors import UserError, first_line
from digit_recognizer.experiment import Augmentation


def build(policy: Augmentation, image_shape: tuple[int, int, int]) -> Augment:
    """Return `augment(images, random)`; see `augmentation.build`.

    Raises:
        UserError: `policy.transforms` names a transform or argument that Albumentations doesn't have.
    """
    compose = _compose(policy)

    def augment(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        compose.set_random_seed(int(random.integers(2**31)))
        changed = [compose(image=image)["image"].reshape(image_shape) for image in images]
        return np.stack(changed)

    return augment


def _compose(policy: Augmentation) -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise importing it connects to the network
    import albumentations

    transforms = [_affine(albumentations, policy)]
    for name, arguments in policy.transforms:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("error", r"Argument\(s\)")  # Albumentations only warns about unknown arguments
                transforms.append(_transform_named(albumentations, name)(**arguments))
        except (AttributeError, TypeError, ValueError, UserWarning) as error:
            raise UserError(f"augmentation.transforms: {name}({dict(arguments)}): {first_line(error)}") from error
    return albumentations.Compose(transforms)


def _transform_named(albumentations: Any, name: str) -> type:
    """Return the transform class of that name; other members, such as functions that load files, are refused."""
    kind = getattr(albumentations, name)
    if not (isinstance(kind, type) and issubclass(kind, albumentations.BasicTransform)):
        raise AttributeError(f"Albumentations has no transform {name}")
    return kind


def _affine(albumentations: Any, policy: Augmentation) -> Any:
    class SubpixelAffine(albumentations.Affine):
        """`Affine` with shifts by fractions of a pixel; Albumentations rounds them to whole pixels."""

        def _get_translate_params(self, image_shape: tuple[int, int]) -> dict[str, float]:
            height, width = image_shape[:2]
            sides = {"x": width, "y": height}
            return {axis: self.py_random.uniform(*self.translate_percent[axis]) * side for axis, side in sides.items()}

    zoom, shift = (1 - policy.zoom, 1 + policy.zoom), (-policy.shift, policy.shift)
    return SubpixelAffine(
        rotate=(-policy.rotation, policy.rotation),
        scale={"x": zoom, "y": zoom},
        keep_ratio=False,
        shear={"x": (-policy.shear, policy.shear), "y": (0, 0)},
        translate_percent={"x": shift, "y": shift},
        border_mode=cv2.BORDER_REPLICATE if policy.fill == "nearest" else cv2.BORDER_CONSTANT,
        fill=0,
        p=1,
    )
