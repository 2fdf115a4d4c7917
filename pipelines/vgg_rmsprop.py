"""A VGG-like network for three channels; a checkpoint is saved after each improvement.

    make train PIPELINE=vgg_rmsprop

Published: validation accuracy 0.98825 at epoch 8, test accuracy 0.9895, on MNIST as a folder of image files (here `make data
SOURCE=<folder>`). Deviations: five stratified folds of the competition's 42,000 images; in the original, a fifth of the images
is held out. The network repeats the grey channel.

Out of fold 0.99121 (0.99028 to 0.99206) in 71 s in parallel with other runs on one H200, JAX backend, 2026-11-27.
On a folder of image files made from the competition's CSV files, fold 0 alone has 0.99238 (0.99028 to 0.99403) after 20 minutes
on one CPU core, with a checkpoint after each of its six improvements, 2026-11-27.
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
