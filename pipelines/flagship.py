"""The network of `fast` with ten seeds: 50 models, for two CPU cores.

    make train ensemble PIPELINE=flagship

Neither a longer training, a wider network, 5x5 kernels, the layers of `deotte`, a student of the blend, stronger augmentation
nor strokes of other thickness did better than more seeds; docs/journal.md has the comparisons. On a GPU MINUTES=10 adds seeds.

Out of fold 0.99614 (0.99550 to 0.99669), each image by ten models; 31 minutes on two cores of an Intel Xeon with AMX (2 x 3,500
images/s in bfloat16, all included), 2026-11-26.
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, seeds=tuple(range(10)))

# The first one, two, ... seeds averaged.
CURVE = {
    0.1: (0.99552, 42_000),
    0.2: (0.99600, 42_000),
    0.3: (0.99605, 42_000),
    0.4: (0.99600, 42_000),
    0.6: (0.99607, 42_000),
    0.8: (0.99607, 42_000),
    1.0: (0.99614, 42_000),
}
