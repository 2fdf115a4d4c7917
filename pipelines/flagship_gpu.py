"""A blend of three kinds of network with two seeds each, for a GPU.

    make train ensemble PIPELINE=flagship_gpu

The members are the pipelines conv5, conv7 and strided. docs/journal.md has the experiments by which they were chosen.

Out of fold 0.99619 (0.99555 to 0.99674), 407 s for the three members trained in parallel by three commands on one H100, JAX
backend, 2026-11-22. This pipeline trains them one after another, which was not timed. Rehearsed with one seed on three parts:
0.99605 (0.99510 to 0.99681), one H200, 2026-11-27.
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("conv5", "conv7", "strided"))
