"""Two kinds of network, 40 models, for two CPU cores; training it trains them, ensembling it blends them.

    make train ensemble PIPELINE=flagship

What each member does differently stands in its own file; docs/journal.md has the comparisons that led here.

Out of fold 0.99636 (0.99573 to 0.99689) with equal weights; 68 minutes of training on two cores of an AMD EPYC (Zen 4,
bfloat16), partly beside test runs, 2026-11-26.
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("fast_seeds", "deotte_hard"))
CURVE = {1.0: (0.99636, 42_000)}
