"""The network of `fast` with ten seeds: 50 models, for two CPU cores.

    make train ensemble PIPELINE=flagship

Neither a longer training, a wider network, 5x5 kernels, the layers of `deotte`, a student of the blend, stronger augmentation
nor strokes of other thickness did better than more seeds; docs/journal.md has the comparisons. On a GPU MINUTES=10 adds seeds.

Out of fold 0.99614 (0.99550 to 0.99669), each image by ten models; 31 minutes on two cores of an Intel Xeon with AMX (2 x 3,500
images/s in bfloat16, all included), 2026-11-26.
"""

from dataclasses import replace

from digit_recognizer.experiment import load

FAST = load("fast")
EXPERIMENT = replace(FAST.experiment, seeds=tuple(range(10)))
CURVE = {length / 5: measured for length, measured in FAST.curve.items()}  # its two seeds are a fifth of these
