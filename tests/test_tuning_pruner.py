"""The pruner: which trials are pruned, and the time saved."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest

from digit_recognizer.tuning.pruner import MIN_COMPLETE, CrossValidationPruner
from digit_recognizer.tuning.trials import BASELINE

PRUNER = CrossValidationPruner(epochs=4, folds=3)


def test_steps_are_the_first_folds_epochs_then_one_for_each_fold():
    assert [PRUNER.epoch_step(epoch, 4) for epoch in range(1, 5)] == [1, 2, 3, 4]
    assert [PRUNER.fold_step(fold) for fold in range(1, 4)] == [5, 6, 7]
    assert [PRUNER.epoch_step(epoch, 8) for epoch in (2, 4, 8)] == [1, 2, 4]
    assert PRUNER.share(2) == pytest.approx(1 / 6)
    assert PRUNER.share(4) == PRUNER.share(5) == pytest.approx(1 / 3)


def test_trials_worse_than_the_median_of_complete_ones_at_the_same_step_are_pruned():
    complete = [{3: value, 6: value} for value in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert PRUNER.is_worse(0.31, 3, complete)
    assert not PRUNER.is_worse(0.3, 3, complete)
    assert not PRUNER.is_worse(9.0, 3, complete[: MIN_COMPLETE - 1])
    assert not PRUNER.is_worse(9.0, 4, complete), "no complete trial has reported step 4"
    assert not PRUNER.is_worse(9.0, 1, complete), "too early"
    assert not PRUNER.is_worse(9.0, 7, [{7: 0.1}] * 9), "nothing is saved after the last fold"


def test_optuna_asks_the_pruner_about_the_last_step_and_never_prunes_the_baseline_trial():
    study = optuna.create_study(pruner=PRUNER)
    for _ in range(MIN_COMPLETE):
        study.add_trial(optuna.create_trial(value=0.1, intermediate_values={4: 0.1, 5: 0.1, 6: 0.2}))
    trial = study.ask()
    assert not trial.should_prune()
    trial.report(0.05, 4)  # an easy first fold
    assert not trial.should_prune()
    trial.report(0.3, 6)
    assert trial.should_prune()
    trial.set_user_attr(BASELINE, True)
    assert not trial.should_prune()


def test_pruning_saves_time_and_keeps_the_best_trial_on_stored_curves():
    """31 unpruned trials of an MLP with the one-cycle schedule on the bundled digits, 4 folds of 6 epochs, in 200 orders."""
    path = Path(__file__).parent / "data" / "study_curves.json"
    curves = [{int(step): value for step, value in curve.items()} for curve in json.loads(path.read_text())]
    pruner, random = CrossValidationPruner(epochs=6, folds=4), np.random.default_rng(0)
    results = np.array([curve[max(curve)] for curve in curves])
    costs, best_kept = [], []
    for _ in range(200):
        complete, cost = [], 0.0
        for index in random.permutation(len(curves)):
            others = [curves[other] for other in complete]
            worse = (step for step, value in sorted(curves[index].items()) if pruner.is_worse(value, step, others))
            step = next(worse, None)
            cost += 1.0 if step is None else pruner.share(step)
            if step is None:
                complete.append(index)
        costs.append(cost / len(curves))
        best_kept.append(results[complete].min() == results.min())
    assert len(curves) >= 30
    assert np.mean(costs) < 0.6
    assert np.mean(best_kept) > 0.95
