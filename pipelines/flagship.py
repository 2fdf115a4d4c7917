"""Two kinds of network, 45 models, for two CPU cores; training it trains them, ensembling it blends them.

    make train ensemble PIPELINE=flagship

What each member does differently stands in its own file; docs/journal.md has the comparisons that led here.
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("fast_seeds", "wide"))
