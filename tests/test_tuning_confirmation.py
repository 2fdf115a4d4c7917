"""The best trials trained again: whether a gain is significant."""

import numpy as np
import optuna
import pytest

from digit_recognizer.metrics import proportion
from digit_recognizer.tuning import confirmation, trials
from digit_recognizer.tuning.trainer import TrialResult

ROWS = 1000


def studies(search, confirmed):
    """Return the trials of both studies, given log losses: of the search (the first is the baseline), of (number, repeat)."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    first, second = optuna.create_study(), optuna.create_study()
    for number, loss in enumerate(search):
        first.enqueue_trial({"x": number / 10}, user_attrs={trials.BASELINE: True} if number == 0 else None)
        finish(first, loss, lambda trial: trial.suggest_float("x", 0, 1))
    for (number, repeat), loss in confirmed.items():
        second.enqueue_trial({"candidate": number, "repeat": repeat})
        finish(second, loss, confirmation.candidate_and_repeat)
    return first.get_trials(), second.get_trials()


def finish(study, loss, suggest):
    trial = study.ask()
    suggest(trial)
    noise = np.array([-1e-4, 0, 1e-4]) * (1 + trial.number % 3)
    trials.set_result(trial, TrialResult(loss, proportion((1 - loss) * ROWS, ROWS), list(loss + noise), 1.0, ROWS))
    study.tell(trial, loss)


def test_candidates_are_the_baseline_and_the_best_three_that_are_better():
    search, _ = studies([0.5, 0.4, 0.6, 0.3, 0.2, 0.1], {})
    assert confirmation.candidates(search) == [0, 5, 4, 3]
    search, _ = studies([0.5, 0.6], {})
    assert confirmation.candidates(search) == []


def test_same_parameters_are_one_candidate():
    search, _ = studies([0.5, 0.4], {})
    again = optuna.create_trial(value=0.4, params=search[1].params, distributions=search[1].distributions)
    again.number = 2
    assert confirmation.candidates([*search, again]) == [0, 1]


def test_trainings_are_reserved_for_one_more_better_trial():
    assert confirmation.trainings_after([]) == 2 * confirmation.REPEATS
    search, _ = studies([0.5, 0.4], {})
    assert confirmation.trainings_after(search) == 3 * confirmation.REPEATS
    search, _ = studies([0.5, 0.4, 0.3, 0.2, 0.1], {})
    assert confirmation.trainings_after(search) == (1 + confirmation.FINALISTS) * confirmation.REPEATS


def test_clear_gain_is_significant_and_a_small_one_is_not():
    losses = {(0, 0): 0.50, (0, 1): 0.51, (1, 0): 0.45, (1, 1): 0.46}
    search, confirmed = studies([0.5, 0.4], losses)
    results = confirmation.results(search, confirmed)
    assert [one.number for one in results] == [1, 0]
    assert results[0].gain == pytest.approx(0.05)
    assert results[0].p_value < 0.001
    assert results[1].gain is None and results[1].p_value is None
    assert confirmation.winner(search, results) == 1
    search, confirmed = studies([0.5, 0.4], losses | {(1, 0): 0.49995, (1, 1): 0.51})
    results = confirmation.results(search, confirmed)
    assert results[0].number == 1 and results[0].p_value > 0.05
    assert confirmation.winner(search, results) == 0


def test_p_values_are_multiplied_by_the_number_of_finalists():
    losses = {(number, repeat): loss for number, loss in enumerate((0.5, 0.4999, 0.5)) for repeat in range(2)}
    one = confirmation.results(*studies([0.5, 0.4], losses))
    two = confirmation.results(*studies([0.5, 0.4, 0.45], losses))
    assert all(found.p_value is None or found.p_value <= 1 for found in (*one, *two))
    p_values = [next(found.p_value for found in results if found.number == 1) for results in (one, two)]
    assert p_values[1] == pytest.approx(min(1, 2 * p_values[0]))


def test_only_repeats_of_both_are_compared_and_without_any_there_is_no_winner():
    search, confirmed = studies([0.5, 0.4], {(0, 0): 0.5, (1, 0): 0.4, (1, 1): 0.9})
    results = confirmation.results(search, confirmed)
    assert [(one.number, one.repeats, one.log_loss) for one in results] == [(1, 1, 0.4), (0, 1, 0.5)]
    search, confirmed = studies([0.5, 0.4], {(1, 0): 0.4})
    assert confirmation.winner(search, confirmation.results(search, confirmed)) is None


def test_baseline_wins_if_no_trial_is_better_and_there_is_no_winner_while_it_is_alone():
    search, _ = studies([0.5, 0.6], {})
    assert confirmation.winner(search, []) == 0
    assert confirmation.winner(search[:1], []) is None
    assert confirmation.winner(search[1:], []) is None


def test_corrected_t_test_has_a_larger_p_value_than_the_plain_one():
    """Compared with a calculation by hand: mean 0.2, sd 0.1, n = 5, 5 folds: t = 0.2 / (0.1 * sqrt(1/5 + 1/4)) = 2.98."""
    differences = 0.2 + 0.1 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    assert confirmation.corrected_t_test(differences, folds=5) == pytest.approx(0.0406, abs=2e-4)
    assert confirmation.corrected_t_test(np.zeros(5), folds=5) == 1.0
