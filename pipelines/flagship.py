"""Two kinds of network, for two CPU cores; training it trains them, ensembling it blends them.

    make train ensemble PIPELINE=flagship
"""

from digit_recognizer.experiment import Experiment

EXPERIMENT = Experiment(members=("fast_seeds", "deotte_hard"))
