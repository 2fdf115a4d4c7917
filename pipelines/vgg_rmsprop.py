"""A VGG-like network on three channels that keeps a checkpoint of each improvement.

    make train PIPELINE=vgg_rmsprop

Published: validation 0.98825 at epoch 8, test 0.9895 on MNIST read from a folder tree (here `make data SOURCE=<folder>`).
Deviations: this project's five stratified folds of the competition's 42,000 images instead of a fifth held out; the grey
channel is repeated within the network.
"""

from digit_recognizer.experiment import Checkpoint, Experiment
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.vgg,
    epochs=20,
    batch_size=32,
    optimizer="rmsprop",
    learning_rate=1e-3,
    checkpoint=Checkpoint("val_accuracy", every_improvement=True),
    published="0.98950",
)
