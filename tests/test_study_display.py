"""The display of a study: each trial with the best so far and the time left."""

from digit_recognizer.cli.study_display import study_display
from digit_recognizer.metrics import Estimate
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, SpeedMeasured
from digit_recognizer.tuning import events

MEMBERS = [Member(0, 0)]


def epoch_ended(member, epoch):
    return EpochEnded(member, epoch, loss=1.5, accuracy=0.75, learning_rate=0.001, seconds=1.0)


def test_study_shows_each_trial_with_the_best_and_the_time_left(console):
    accuracy = Estimate(0.99, 0.98, 0.995)
    with study_display(console) as show:
        show(events.StudyStarted("fast", 3, 20, ["learning_rate"], 7200.0))
        show(events.TrialStarted(3, None, {}, 7200.0))
        show(events.TrialProgress(3, None, SpeedMeasured(MEMBERS[0], 0.1)))
        show(events.TrialProgress(3, None, epoch_ended(MEMBERS[0], 1)))
        show(events.TrialEnded(3, None, "complete", 3600.0, 0.05, accuracy))
        show(events.TrialEnded(4, None, "failed", 3600.0, reason="out of memory"))
        show(events.ConfirmationStarted(4))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "study fast: 3 of 20 trials finished; searching learning_rate"
    assert lines[1] == "2 h 0 min left, including the confirmation of the best trials"
    assert lines[2].startswith(
        "trial 3 complete: log loss 0.05000, accuracy 0.99000 (0.98000 to 0.99500) (60 min left, best log loss 0.05000)"
    )
    assert lines[3].startswith("trial 4 failed: out of memory")
    assert lines[4] == (
        "search finished; confirming the best trials and the original settings: 4 trainings on new seeds and folds"
    )
