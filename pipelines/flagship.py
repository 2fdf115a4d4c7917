"""`fast` with five epochs and two seeds: ten models for two CPU cores.

    make train ensemble PIPELINE=flagship

One model is trained for each of five folds and two seeds, and the submission averages the ten. docs/journal.md compares this
with fewer models.

Out of fold 0.99576 (0.99509 to 0.99634) in 4 min 21 s including `make ensemble`, on two cores of an Intel Xeon with AMX
(bfloat16), 2026-11-27. Rehearsed on three parts: 0.99581, where `fast` has 0.99586.
"""

from dataclasses import replace

from digit_recognizer.experiment import load

EXPERIMENT = replace(load("fast").experiment, epochs=5, seeds=(0, 1))
