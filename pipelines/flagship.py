"""Two kinds of network, 45 models, for two CPU cores; training it trains them, ensembling it blends them.

    make train ensemble PIPELINE=flagship

What each member does differently stands in its own file; docs/journal.md has the comparisons that led here.

Submitted 0.99700 (0.99643 to 0.99748), out of fold, all weights nested; 65 minutes of training on two cores of an AMD EPYC
(Zen 4, bfloat16), mostly beside test runs, 2026-11-26.
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("fast_seeds", "wide"))
CURVE = {1.0: (0.99700, 42_000)}
