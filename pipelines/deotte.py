"""C. Deotte's "25 Million Images!": 15 strided networks whose probabilities are averaged.

    make train ensemble PIPELINE=deotte

Published: 0.99757 on Kaggle, when the public score was measured on 7,000 of the 28,000 images. In 100 runs on MNIST, a single
network reached 0.99641 and the average of 15 networks 0.99745. Deviations: five stratified folds with three seeds each; in the
original, a random tenth of the images is held out for each network.

Out of fold 0.99545 with the first seed alone, in 258 s in parallel with nine other runs on one H100, JAX backend, 2026-11-22.
Rehearsed with the first seed on one part: 0.99514 (0.99322 to 0.99652), one H200, 2026-11-27.
"""

from digit_recognizer.experiment import Augmentation, Experiment, Schedule
from digit_recognizer.models import networks

EXPERIMENT = Experiment(
    network=networks.deotte_cnn,
    seeds=(0, 1, 2),
    epochs=45,
    batch_size=64,
    optimizer="adam",
    learning_rate=1e-3,
    schedule=Schedule("exponential", decay=0.95),
    augmentation=Augmentation(rotation=10, zoom=0.1, shift=0.1, fill="nearest"),
    published="0.99757",
)
