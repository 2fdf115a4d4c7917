"""The display of a training: a bar for each running model on a terminal, one line per epoch elsewhere."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from digit_recognizer.cli.training_display import TrainingDisplay, training_display
from digit_recognizer.experiment import EarlyStopping, Experiment
from digit_recognizer.models.networks import mlp
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import (
    EpochEnded,
    MemberFinished,
    ModelBuilt,
    SpeedMeasured,
    StepEnded,
    TrainingPlanned,
)

EXPERIMENT = Experiment(network=mlp, epochs=10, batch_size=50, folds=5)
MEMBERS = [Member(0, fold) for fold in range(5)]
STEPS = 16  # per epoch, so 160 a member


def step(member, epoch, number, **more):
    return StepEnded(member, epoch, number, 16, **{"images_per_second": 10.0, "loss": 2.0, "accuracy": 0.5, **more})


def epoch_ended(member, epoch):
    return EpochEnded(member, epoch, loss=1.5, accuracy=0.75, learning_rate=0.001, seconds=1.0)


def plan(waiting):
    return TrainingPlanned(RunFolder(Path("runs/x")), EXPERIMENT, MEMBERS, dict.fromkeys(waiting, STEPS), jobs=1)


def test_without_a_terminal_each_epoch_is_a_line(console):
    with training_display(console) as show:
        show(plan(MEMBERS[1:]))
        show(SpeedMeasured(MEMBERS[1], 0.1))
        show(step(MEMBERS[1], 0, 8, images_per_second=1234.0))
        show(epoch_ended(MEMBERS[1], 1))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "x: training 4 models, 10 epochs each (1 of 5 already trained)"
    assert lines[1] == "x: about 64 s left, 100 ms per step"
    assert lines[2].startswith("x fold 1: epoch 1/10, loss 1.5000, accuracy 0.7500, learning rate 0.001, 1,234 images/s, ")
    assert len(lines) == 3


def test_without_a_terminal_an_epoch_without_validation_shows_no_earlier_one(console):
    with training_display(console) as show:
        show(plan(MEMBERS))
        show(EpochEnded(MEMBERS[0], 1, 1.5, 0.75, 0.001, 1.0, val_loss=1.4, val_accuracy=0.8))
        show(epoch_ended(MEMBERS[0], 2))
    validated, other = console.file.getvalue().splitlines()[1:]
    assert "val_loss 1.4000, val_accuracy 0.8000" in validated
    assert "epoch 2/10" in other
    assert "val_" not in other


def on_a_terminal(width, *events):
    """Show events on a terminal of `width` columns; return the lines of the screen after each event, and all output."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, highlight=False, color_system="standard")
    display, screens = TrainingDisplay(console), []
    for event in events:
        display.on_event(event)
        screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
        screen.print(display.run.bars.progress.get_renderable())
        screens.append(Text.from_ansi(screen.file.getvalue()).plain.splitlines())
    display.close()
    return screens, Text.from_ansi(console.file.getvalue()).plain, console.file.getvalue()


BAR = "\N{BOX DRAWINGS HEAVY HORIZONTAL}"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_each_running_model_has_a_line_with_its_fold_and_a_bar(width):
    epoch = EpochEnded(MEMBERS[3], 1, 1.5, 0.75, 0.001, 1.0, val_loss=1.4, val_accuracy=0.8)
    screens, *_ = on_a_terminal(
        width, plan(MEMBERS), step(MEMBERS[3], 0, 8), epoch, step(MEMBERS[3], 1, 1), step(MEMBERS[4], 0, 8)
    )
    total, third, fourth = screens[-1]
    assert total.startswith("total ")
    assert third.startswith("fold 3 ")
    assert fourth.startswith("fold 4 ")
    for line in screens[-1]:
        assert line.count(BAR) >= 8
        assert len(line) <= width
    assert "epoch 2/10" in third
    assert "val_accuracy 0.8000" in third
    assert ("images/s" in third) == (width == 120)


def test_the_start_of_the_backend_and_the_compilation_are_named():
    screens, _, written = on_a_terminal(
        80, plan(MEMBERS), ModelBuilt(MEMBERS[0], ""), SpeedMeasured(MEMBERS[0], 0.1), step(MEMBERS[0], 0, 8)
    )
    assert "starting TensorFlow" in screens[0][0]
    assert "compiling" in screens[1][0]
    assert " s left" in screens[3][0]
    assert "\x1b[?25h" in written  # the cursor is shown again


def test_finished_model_leaves_a_line():
    screens, printed, _ = on_a_terminal(60, plan(MEMBERS), step(MEMBERS[0], 9, 16), MemberFinished(MEMBERS[0]))
    assert len(screens[-1]) == 1
    assert "x fold 0: epoch 10/10, loss 2.0000, accuracy 0.5000" in printed


def test_seeds_are_named_if_there_are_several(console):
    members = [Member(seed, fold) for seed in (0, 1) for fold in (None, 0)]
    with training_display(console) as show:
        show(TrainingPlanned(RunFolder(Path("runs/x")), EXPERIMENT, members, dict.fromkeys(members, STEPS), jobs=3))
        for member in members:
            show(epoch_ended(member, 1))
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "x: training 4 models, 10 epochs each, 3 in parallel"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "x all rows, seed 0",
        "x fold 0, seed 0",
        "x all rows, seed 1",
        "x fold 0, seed 1",
    ]


def test_finished_run_prints_that_nothing_is_to_do(console):
    with training_display(console) as show:
        show(plan([]))
    assert console.file.getvalue() == "x: already trained, nothing to do in runs/x\n"


def test_training_that_may_end_early_has_a_largest_number_of_epochs(console):
    experiment = replace(EXPERIMENT, early_stopping=EarlyStopping())
    with training_display(console) as show:
        show(replace(plan(MEMBERS), experiment=experiment))
    assert console.file.getvalue().splitlines()[0] == "x: training 5 models, at most 10 epochs"
