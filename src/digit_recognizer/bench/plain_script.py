"""A script like most public notebooks: one network, Keras's `fit`, `ImageDataGenerator`. `make bench` compares with it.

It works as such notebooks do: all cores for one training, float images, augmentation image by image in Python.
"""

from typing import Any

import numpy as np

from digit_recognizer.experiment import Experiment


def train(
    experiment: Experiment,
    images: np.ndarray,
    labels: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None,
    epochs: int,
    callbacks: list[Any],
) -> None:
    """Train the experiment's network with its batch size, rotation, zoom, shear and shift, and Adam's default learning rate.

    Args:
        images: uint8 (n, height, width, channels).
        validation: images and labels for the accuracy after each epoch; None: no validation.
    """
    from tensorflow import keras
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    classes = int(labels.max()) + 1
    inputs = keras.Input(images.shape[1:])
    model = keras.Model(inputs, experiment.network(inputs, classes, **experiment.network_options))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    policy = experiment.augmentation
    generator = ImageDataGenerator(
        rotation_range=policy.rotation,
        zoom_range=policy.zoom,
        shear_range=policy.shear,
        width_shift_range=policy.shift,
        height_shift_range=policy.shift,
    )

    def prepared(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return images.astype("float32") / 255.0, keras.utils.to_categorical(labels, classes)

    x, y = prepared(images, labels)
    model.fit(
        generator.flow(x, y, batch_size=experiment.batch_size),
        validation_data=prepared(*validation) if validation else None,
        epochs=epochs,
        verbose=2,
        callbacks=callbacks,
    )
