"""Augmentation: one policy, and two engines with the same geometry."""

import cv2
import numpy as np
import pytest
from scipy.stats import ks_2samp, kstest

from digit_recognizer import augmentation
from digit_recognizer.augmentation import batched
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import Augmentation

STRONG = Augmentation(rotation=20, zoom=0.2, shear=15, shift=0.1)
ENGINES = ("batched", "albumentations")


def policy(engine="batched", **settings):
    return Augmentation(engine=engine, **settings)


def rng(*seed):
    return np.random.default_rng(seed or 0)


@pytest.fixture(scope="module")
def images():
    """Smooth noise right up to the border, uint8 (40, 28, 28, 1)."""
    noise = rng(1).integers(0, 256, (40, 28, 28)).astype(np.uint8)
    return np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in noise])[..., np.newaxis]


@pytest.mark.parametrize("border", [("constant", cv2.BORDER_CONSTANT), ("nearest", cv2.BORDER_REPLICATE)])
def test_resampling_is_opencv_warp_affine(images, border):
    fill, mode = border
    matrices = batched.draw_matrices(STRONG, len(images), 28, 28, rng())
    moved = batched.resample(images, matrices, fill)
    for image, matrix, ours in zip(images, matrices, moved, strict=True):
        theirs = cv2.warpAffine(image, matrix, (28, 28), flags=cv2.INTER_LINEAR, borderMode=mode)
        difference = np.abs(theirs.astype(int) - ours[..., 0])
        assert difference.max() <= 4  # OpenCV works with 1/32 pixel
        assert difference.mean() < 0.5


@pytest.mark.parametrize("fill", ["constant", "nearest"])
def test_both_engines_give_the_same_pixels_for_the_same_matrix(images, fill, monkeypatch):
    chosen = policy("albumentations", rotation=20, zoom=0.2, shear=15, shift=0.1, fill=fill)
    matrices, warp = [], cv2.warpAffine

    def recorded(image, matrix, *arguments, **options):
        matrices.append(matrix)
        return warp(image, matrix, *arguments, **options)

    monkeypatch.setattr(cv2, "warpAffine", recorded)
    theirs = augmentation.build(chosen, (28, 28, 1))(images, rng())
    ours = batched.resample(images, np.stack(matrices), fill)
    difference = np.abs(theirs.astype(int) - ours)
    assert difference.max() <= 4
    assert difference.mean() < 0.5


def test_inactive_policy_changes_no_pixel(images):
    identity = np.tile(np.eye(2, 3), (len(images), 1, 1))
    assert np.array_equal(batched.resample(images, identity, "constant"), images)
    assert augmentation.build(Augmentation(), (28, 28, 1))(images, rng()) is images


def test_no_pixel_comes_from_a_neighbouring_image():
    stack = np.zeros((5, 28, 28, 1), np.uint8)
    stack[1::2] = 255
    matrices = batched.draw_matrices(Augmentation(rotation=180, zoom=0.9, shift=0.9), 5, 28, 28, rng(3))
    elastic = batched.draw_displacements(Augmentation(elastic=10), 5, 28, 28, rng(4))
    for fill in ("constant", "nearest"):
        assert not batched.resample(stack, matrices, fill, elastic)[::2].any()
    assert (batched.resample(stack, matrices, "nearest", elastic)[1::2] == 255).all()


def test_constant_fill_is_background_and_nearest_repeats_the_border():
    image = np.tile(np.arange(28, dtype=np.uint8) + 100, (28, 1))[None, :, :, None]
    right = np.array([[[1.0, 0, 6], [0, 1, 0]]])  # six pixels to the right
    assert (batched.resample(image, right, "constant")[0, :, :6] == 0).all()
    assert (batched.resample(image, right, "nearest")[0, :, :6] == 100).all()
    for fill in ("constant", "nearest"):
        assert np.array_equal(batched.resample(image, right, fill)[0, :, 6:], image[0, :, :-6])


def test_half_a_pixel_into_the_border_is_half_the_background():
    image = np.full((1, 28, 28, 1), 200, np.uint8)
    moved = batched.resample(image, np.array([[[1.0, 0, 0.5], [0, 1, 0]]]), "constant")
    assert (moved[0, :, 0] == 100).all() and (moved[0, :, 1:] == 200).all()


def test_batch_may_be_taller_than_opencv_allows():
    many = rng(5).integers(0, 256, (2500, 28, 28, 1)).astype(np.uint8)
    matrices = batched.draw_matrices(STRONG, len(many), 28, 28, rng())
    elastic = batched.draw_displacements(Augmentation(elastic=1), len(many), 28, 28, rng(1))
    moved = batched.resample(many, matrices, "constant", elastic)
    alone = batched.resample(many[-3:], matrices[-3:], "constant", elastic[:, -3:])
    assert np.abs(moved[-3:].astype(int) - alone).max() <= 2  # coordinates are float32


@pytest.mark.parametrize("shape", [(20, 32, 1), (28, 28, 3)])
@pytest.mark.parametrize("engine", ENGINES)
def test_any_shape_and_number_of_channels_is_kept(engine, shape):
    given = rng().integers(0, 256, (3, *shape)).astype(np.uint8)
    changed = augmentation.build(policy(engine, rotation=10, zoom=0.1), shape)(given, rng())
    assert (changed.shape, changed.dtype) == (given.shape, np.uint8)


PROBES, SIDE = 5000, 48
DOTS = np.array([[24.0, 16], [17, 29], [31, 28]])  # x, y


def recovered(engine):
    """Draw STRONG for probe images with one dot a channel; return the draws that the dots' centroids imply."""
    y, x = np.indices((SIDE, SIDE))
    dots = [255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.5**2)) for cx, cy in DOTS]
    probes = np.repeat(np.stack(dots, axis=-1).round().astype(np.uint8)[None], PROBES, axis=0)
    chosen = policy(engine, rotation=20, zoom=0.2, shear=15, shift=0.1)
    moved = augmentation.build(chosen, (SIDE, SIDE, 3))(probes, rng(7)).astype(np.float32)
    mass, *moments = (np.tensordot(moved, axis.astype(np.float32), ((1, 2), (0, 1))) for axis in (np.ones_like(x), x, y))
    places = np.stack(moments, axis=2) / mass[..., None]  # (n, dots, 2)
    source = np.column_stack([DOTS, np.ones(3)])
    matrices = np.linalg.solve(source, places.astype(float)).transpose(0, 2, 1)  # exact for three dots
    (a, b, _), (c, d, _) = matrices.transpose(1, 2, 0)
    # matrix = shear @ rotation @ scale; the shear is the root near 0 of a quadratic equation
    linear, constant = a * d + b * c, a * b + c * d
    shear = 2 * constant / (linear + np.sqrt(linear**2 - 4 * c * d * constant))
    centre = np.array([(SIDE - 1) / 2] * 2)
    shift = (matrices[:, :, :2] @ centre + matrices[:, :, 2] - centre) / SIDE
    return {
        "rotation": np.rad2deg(np.arctan2(-c, a - shear * c)) / 20,
        "zoom x": (np.hypot(c, a - shear * c) - 1) / 0.2,
        "zoom y": (np.hypot(d, b - shear * d) - 1) / 0.2,
        "shear": np.rad2deg(np.arctan(shear)) / 15,
        "shift x": shift[:, 0] / 0.1,
        "shift y": shift[:, 1] / 0.1,
    }


@pytest.fixture(scope="module")
def draws():
    return {engine: recovered(engine) for engine in ENGINES}


@pytest.mark.parametrize("name", ["rotation", "zoom x", "zoom y", "shear", "shift x", "shift y"])
def test_both_engines_draw_uniformly_within_the_limits(draws, name):
    """Measured on the pixels of 5,000 images."""
    ours, theirs = (draws[engine][name] for engine in ENGINES)
    assert ks_2samp(ours, theirs).pvalue > 0.001
    for drawn in (ours, theirs):
        assert np.abs(drawn).max() < 1.03
        assert kstest(drawn, "uniform", args=(-1, 2)).pvalue > 0.001


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_are_independent(draws, engine):
    assert np.abs(np.corrcoef(list(draws[engine].values())) - np.eye(6)).max() < 0.06


def test_elastic_displacements_have_the_given_deviation_and_smoothness_everywhere():
    drawn = batched.draw_displacements(Augmentation(elastic=2.5, elastic_smoothing=4), 2000, 28, 28, rng())
    assert drawn.shape == (2, 2000, 28, 28)
    assert drawn.std() == pytest.approx(2.5, rel=0.02)
    assert drawn.std(axis=(0, 1)) == pytest.approx(np.full((28, 28), 2.5), rel=0.1)  # at the border as in the middle
    for pixels in (1, 4, 14):
        expected = np.full(28 - pixels, np.exp(-((0.75 * pixels / 4) ** 2)))  # 0.57 at the distance of elastic_smoothing
        across = (drawn[..., pixels:] * drawn[..., :-pixels]).mean(axis=(0, 1, 2)) / 2.5**2
        down = (drawn[:, :, pixels:] * drawn[:, :, :-pixels]).mean(axis=(0, 1, 3)) / 2.5**2
        assert across == pytest.approx(expected, abs=0.03) and down == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("engine", ENGINES)
def test_given_images_are_not_changed(engine, images):
    before = images.copy()
    augmentation.build(policy(engine, rotation=10), (28, 28, 1))(images, rng())
    assert np.array_equal(images, before)


def test_any_transform_of_albumentations_can_be_named():
    chosen = policy("albumentations", transforms=(("InvertImg", {"p": 1.0}),))
    changed = augmentation.build(chosen, (28, 28, 1))(np.full((2, 28, 28, 1), 5, np.uint8), rng())
    assert (changed == 250).all()


@pytest.mark.parametrize(
    "transform", [("NoSuchThing", {}), ("GaussNoise", {"p": 7}), ("GaussNoise", {"strength": 1}), ("Affine", {"scale": "x"})]
)
def test_wrong_transform_is_refused_in_one_line(transform):
    with pytest.raises(UserError, match=f"augmentation.transforms: {transform[0]}") as refused:
        augmentation.build(policy("albumentations", transforms=(transform,)), (28, 28, 1))
    assert "\n" not in str(refused.value)
