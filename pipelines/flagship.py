"""`fast` with two seeds: ten models for two CPU cores.

    make train ensemble PIPELINE=flagship

Each fold has a model of the images as they are and one of digits with normalised width, and the submission averages the ten.
docs/journal.md compares this with other numbers and kinds of models.

Out of fold 0.99605 (0.99540 to 0.99660) on two cores of an AMD EPYC without AVX-512 (float32), 2026-11-27. Rehearsed on four
parts: 0.99639 (0.99562 to 0.99703).
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, seeds=(0, 1))
