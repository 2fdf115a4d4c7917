"""`fast` with two seeds: ten models for two CPU cores.

    make train ensemble PIPELINE=flagship

Each fold has a model of the images as they are and one of digits with normalised width, and the submission averages the ten.
docs/journal.md compares this with other numbers and kinds of models.

Out of fold 0.99629 (0.99566 to 0.99682) in 5 min 20 s on two cores of an AMD EPYC (Zen 4), 2026-11-27. Rehearsed on all six
parts: 0.99638 (0.99576 to 0.99691).
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, seeds=(0, 1))
