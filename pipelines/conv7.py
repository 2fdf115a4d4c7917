"""7x7 convolutions without padding, pooling or stride, for a GPU: one of the three networks of An et al.

    make train PIPELINE=conv7

Published: 0.9987 on MNIST's test set, by majority vote with two other kernel sizes (arXiv 2008.10400). This figure is too
high, because the best epoch was selected on the same test set. Deviations: the same as in conv5.

Out of fold 0.99598 (0.99532 to 0.99654) in 235 s in parallel with conv5 and strided on one H100, JAX backend, 2026-11-22.
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("conv5").experiment, network_options={"kernel": 7, "widths": (48, 96, 144, 192)})
