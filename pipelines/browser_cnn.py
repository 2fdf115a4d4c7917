"""A network small enough to train in a browser, on 100 batches; its accuracy is measured every 5 batches.

    make train PIPELINE=browser_cnn

Published: no figure. Deviations: it is trained in Python, once for each of five stratified folds. `make draw` runs the trained
network in a browser.

Out of fold 0.91279 (0.91005 to 0.91545) in 15 seconds of training on one core, 2026-11-24.
"""

from digit_recognizer.experiment import Experiment
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.browser_cnn,
    epochs=1,
    steps_per_epoch=100,
    measure_every=5,
    batch_size=64,
    optimizer="sgd",
    learning_rate=0.15,
    momentum=0.0,
)
