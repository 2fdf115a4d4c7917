"""The network of `fast` with ten seeds: 50 models, for two CPU cores.

    make train ensemble PIPELINE=flagship

Neither a longer training, a wider network, 5x5 kernels, the layers of `deotte`, a student of the blend, stronger augmentation
nor strokes of other thickness did better than more seeds; docs/journal.md has the comparisons. The members are those of `fast` and
more; on a GPU MINUTES=10 adds seeds.
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, seeds=tuple(range(10)))
