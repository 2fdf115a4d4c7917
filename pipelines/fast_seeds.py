"""`fast` with seven seeds: 35 models, a member of `flagship`.

make train PIPELINE=fast_seeds
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, seeds=tuple(range(7)))
