"""Network builders: `network(x, classes, **options)` from scaled images to softmax probabilities.

`x` is a Keras tensor (batch, height, width, channels), the result (batch, classes). A pipeline uses one of these or
defines its own.
"""

from typing import Any

from digit_recognizer.errors import UserError


def _softmax(x: Any, classes: int, **options: Any) -> Any:
    from keras import layers

    return layers.Dense(classes, activation="softmax", name="probabilities", **options)(x)


def tutorial_cnn(x: Any, classes: int, *, batch_normalization: bool = False, deep: bool = False) -> Any:
    """One 3x3 convolution (or three in two blocks if `deep`) and a dense layer of 100, as in the well-known tutorial."""
    from keras import layers

    def normalized(x: Any) -> Any:
        return layers.BatchNormalization()(x) if batch_normalization else x

    def convolved(x: Any, filters: int) -> Any:
        return normalized(layers.Conv2D(filters, 3, activation="relu", kernel_initializer="he_uniform")(x))

    x = layers.MaxPooling2D()(convolved(x, 32))
    if deep:
        x = layers.MaxPooling2D()(convolved(convolved(x, 64), 64))
    x = layers.Flatten()(x)
    x = normalized(layers.Dense(100, activation="relu", kernel_initializer="he_uniform")(x))
    return _softmax(x, classes)


def mlp(x: Any, classes: int, *, hidden: tuple[int, ...] = (256,), dropout: float = 0.0) -> Any:
    """Dense ReLU layers, all weights drawn from a normal distribution with standard deviation 0.05."""
    from keras import initializers, layers

    x = layers.Flatten()(x)
    for units in hidden:
        x = layers.Dense(units, activation="relu", kernel_initializer=initializers.RandomNormal(stddev=0.05))(x)
        if dropout:
            x = layers.Dropout(dropout)(x)
    return _softmax(x, classes, kernel_initializer=initializers.RandomNormal(stddev=0.05))


def small_cnn(x: Any, classes: int) -> Any:
    """One 5x5 convolution of 16 and a dense layer of 128 with dropout."""
    from keras import initializers, layers

    x = layers.Conv2D(16, 5, padding="same", activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    x = layers.Dense(128, activation="relu", kernel_initializer=initializers.RandomNormal(stddev=0.05))(x)
    x = layers.Dropout(0.5)(x)
    return _softmax(x, classes, kernel_initializer=initializers.RandomNormal(stddev=0.05))


def browser_cnn(x: Any, classes: int) -> Any:
    """Two 5x5 convolutions of 8 and 16, small enough to train in a browser."""
    from keras import layers

    for filters in (8, 16):
        x = layers.Conv2D(filters, 5, activation="relu", kernel_initializer="variance_scaling")(x)
        x = layers.MaxPooling2D()(x)
    return _softmax(layers.Flatten()(x), classes, kernel_initializer="variance_scaling")


def vgg(x: Any, classes: int) -> Any:
    """Convolutions of 64, 128 and 256 on three channels (one channel is repeated), dropout, a dense layer of 256, dropout."""
    from keras import layers

    if x.shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.MaxPooling2D()(layers.Conv2D(128, 3, activation="relu")(x))
    x = layers.Flatten()(layers.Conv2D(256, 3, activation="relu")(x))
    x = layers.Dense(256, activation="relu")(layers.Dropout(0.5)(x))
    return _softmax(layers.Dropout(0.5)(x), classes)


def pooled_cnn(x: Any, classes: int, *, width: float = 1.0, dropout: float = 0.3) -> Any:
    """Convolutions of 64, 128 and 192, each followed by pooling, batch normalisation after all but the last; dense 256.

    `width` scales all four numbers.
    """
    from keras import layers

    for filters in (64, 128):
        x = layers.Conv2D(round(width * filters), 3, padding="same")(x)
        x = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(x)))
    x = layers.MaxPooling2D()(layers.Conv2D(round(width * 192), 3, padding="same", activation="relu")(x))
    x = layers.Dense(round(width * 256))(layers.Flatten()(x))
    x = layers.Dropout(dropout)(layers.ReLU()(layers.BatchNormalization()(x)))
    return _softmax(x, classes)


def deotte_cnn(x: Any, classes: int) -> Any:
    """Stacked 3x3 convolutions with strided 5x5 ones instead of pooling (C. Deotte, "25 Million Images!", 2018)."""
    from keras import layers

    def convolved(x: Any, filters: int, kernel: int, **options: Any) -> Any:
        return layers.BatchNormalization()(layers.Conv2D(filters, kernel, activation="relu", **options)(x))

    for filters in (32, 64):
        x = convolved(convolved(x, filters, 3), filters, 3)
        x = layers.Dropout(0.4)(convolved(x, filters, 5, strides=2, padding="same"))
    x = layers.Flatten()(convolved(x, 128, 4))
    return _softmax(layers.Dropout(0.4)(x), classes)


def all_convolutional(x: Any, classes: int, *, kernel: int, widths: tuple[int, ...]) -> Any:
    """Unpadded convolutions that each shrink the feature map, without pooling or strides (An et al., arXiv 2008.10400)."""
    from keras import layers

    for filters in widths:
        x = layers.Conv2D(filters, kernel, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    return _softmax(layers.Flatten()(x), classes)


def strided_cnn(
    x: Any,
    classes: int,
    *,
    border: int = 0,
    stages: tuple[tuple[int, ...], ...] = ((16,), (32, 32), (64, 64), (128, 128)),
    normalize: str = "maps",
    width: float = 1.0,
    extra_layers: int = 0,
    dropout: float = 0.1,
) -> Any:
    """Stages of 3x3 convolutions, each but the first starting with a strided one, then global average pooling.

    `border` pixels are cropped from each side, since they are nearly always empty. `normalize="maps"` is batch normalisation;
    `"weights"` standardises the kernels instead, which is faster on a CPU.
    `width` scales the numbers of filters in `stages`; `extra_layers` more convolutions end each stage.
    """
    from keras import layers

    x = layers.Cropping2D(border)(x) if border else x
    for number, stage in enumerate(stages):
        for position, filters in enumerate((*stage, *stage[-1:] * extra_layers)):
            x = _normalized_conv(x, round(width * filters), strides=2 if number and not position else 1, normalize=normalize)
    x = layers.GlobalAveragePooling2D()(x)
    return _softmax(layers.Dropout(dropout)(x) if dropout else x, classes)


def _normalized_conv(x: Any, filters: int, strides: int, normalize: str) -> Any:
    from keras import layers

    if normalize == "weights":
        from digit_recognizer.models.layers import StandardizedConv2D

        return StandardizedConv2D(filters, 3, strides=strides, padding="same", activation="relu")(x)
    if normalize != "maps":
        raise UserError(f"network_options.normalize={normalize!r}: choose 'maps' or 'weights'")
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
