"""Three kinds of network, two seeds each, for a GPU; training it trains them, ensembling it blends them.

    make train ensemble PIPELINE=flagship_gpu

What each member does differently stands in its own file; docs/journal.md has the comparisons that led here.

Out of fold 0.99619 (0.99555 to 0.99674), 407 s for the three trained side by side by three commands on one H100, JAX backend,
2026-11-22; one after another, as this one trains them, not timed.
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("conv5", "conv7", "strided"))
