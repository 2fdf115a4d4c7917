"""Training within a number of minutes: what is chosen, that it fits, and that the same command goes on with it."""

import dataclasses

import pytest
from tiny_run import make_workspace, request

from digit_recognizer import files, metrics
from digit_recognizer.backend import Gpu
from digit_recognizer.cli.commands.training import budget_lines
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import override, settings_json
from digit_recognizer.runs.member import Member
from digit_recognizer.training import probing, time_budget, workers
from digit_recognizer.training.devices import FixedSlots, MeasuredSlots
from digit_recognizer.training.events import EpochEnded, MemberFinished, SpeedMeasured, StepEnded
from digit_recognizer.training.members import choose_members
from digit_recognizer.training.probing import Pace, Probe

PLAIN = {"early_stopping": None, "reduce_lr_on_plateau": None, "epochs": 10, "folds": 5}
PACE = Pace(step=0.03, validation=0.1, rest=1.0)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("budget"))


@pytest.fixture
def probe(workspace):
    """A pipeline of 10 epochs of 100 steps for 5 folds, two in parallel: three rounds of 32 s."""
    wanted = request(workspace, jobs=2, **PLAIN)
    return Probe(wanted, 100, PACE)


def test_own_length_takes_all_rounds(probe):
    settings = probe.scaled(1)
    assert settings == {"seeds": [0], "epochs": 10, "steps_per_epoch": 100}
    assert probe.seconds(settings) == pytest.approx(3 * 32)


def test_last_round_of_two_seeds_is_full(probe):
    assert probe.seconds(probe.scaled(2)) == pytest.approx(5 * 32)


def test_more_time_gives_more_seeds_and_less_gives_fewer_epochs(probe):
    assert probe.scaled(0.5)["epochs"] == 5
    assert (probe.scaled(1.4)["seeds"], probe.scaled(1.4)["epochs"]) == ([0], 14)
    assert (probe.scaled(1.6)["seeds"], probe.scaled(1.6)["epochs"]) == ([0, 1], 8)
    assert probe.scaled(3.2)["seeds"] == [0, 1, 2]


def test_steps_per_epoch_make_up_for_rounded_epochs(probe):
    for factor in (0.43, 0.77, 1.13, 2.9):
        chosen = probe.scaled(factor)
        steps = len(chosen["seeds"]) * chosen["epochs"] * chosen["steps_per_epoch"]
        assert steps == pytest.approx(factor * 10 * 100, rel=0.02)


def test_own_seeds_come_first(probe):
    changed = dataclasses.replace(
        probe.request.pipeline, experiment=override(probe.request.pipeline.experiment, {"seeds": (7, 1)})
    )
    probe = dataclasses.replace(probe, request=dataclasses.replace(probe.request, pipeline=changed))
    assert probe.scaled(0.5)["seeds"] == [7]
    assert probe.scaled(2)["seeds"] == [7, 1, 0, 2]


class Clock:
    """Time that passes only in trainings, which it fakes."""

    def __init__(self, paces):
        self.now, self.paces, self.timed = 0.0, paces, []

    def train_members(self, job, members, slots, on_event):
        """Fake the timing of members, which takes no time itself."""
        began, self.timed, chosen = self.now, members, job.pipeline.experiment
        for member, pace in zip(members, self.paces, strict=False):
            seconds = chosen.steps_per_epoch * pace.step
            on_event(SpeedMeasured(member, pace.step))
            speed = chosen.batch_size / pace.step
            on_event(StepEnded(member, 2, chosen.steps_per_epoch, chosen.steps_per_epoch, speed, loss=0.5, accuracy=0.9))
            for epoch, validation in ((1, 0.0), (2, 0.0), (3, pace.validation)):
                on_event(EpochEnded(member, epoch, 0.5, 0.9, 0.001, seconds + validation))
        for member, pace in zip(members, self.paces, strict=False):
            self.now = began + pace.rest + 3 * chosen.steps_per_epoch * pace.step + 2 * pace.validation
            on_event(MemberFinished(member))
        self.now = began

    def train(self, request, slower):
        """Let the members of a planned request train in rounds, a step taking `slower` times as long as it was timed."""
        chosen = request.pipeline.experiment
        members, steps = choose_members(chosen, request.folds, request.full), []
        for first in range(0, len(members), request.jobs):
            both = members[first : first + request.jobs]
            steps += [request.length(member) for member in both]
            self.now += slower * PACE.fixed(chosen) + slower * chosen.epochs * steps[-1] * PACE.step
        return steps


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only in faked trainings, of which two members are trained in parallel."""
    clock = Clock([PACE, PACE])
    monkeypatch.setattr(time_budget.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(workers, "train_members", clock.train_members)
    return clock


def fit(workspace, seconds, runs=("one",), **options):
    """Fit trainings of 10 epochs of 100 steps for 5 folds, in rounds of two."""
    wanted = {"jobs": 2, "force": True, **PLAIN, "steps_per_epoch": 100, **options}
    return time_budget.fit_to_minutes([request(workspace, run, **wanted) for run in runs], seconds / 60, workspace)


def probe_of(planned):
    """Return what was timed for a planned request."""
    return planned.length.__self__.probe


@pytest.mark.parametrize("slower", [0.85, 1.0, 1.15])
@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_training_ends_in_time_when_the_speed_changes(workspace, clock, probe, slower, factor):
    changes = probe.scaled(factor)
    end = probe.seconds(changes)
    (planned,) = fit(workspace, end).requests
    steps = clock.train(planned, slower)
    assert clock.now == pytest.approx(end, rel=0.07)
    assert steps[:2] == [changes["steps_per_epoch"]] * 2
    assert (steps[-1] < steps[0], steps[-1] == steps[0]) == (slower > 1, slower == 1)


def test_first_of_two_pipelines_leaves_time_for_the_second(workspace, clock):
    for planned, end in zip(fit(workspace, 2 * 96, ("one", "two")).requests, (96, 2 * 96), strict=True):
        clock.train(planned, 1.1)
        assert clock.now == pytest.approx(end, rel=0.04)


def test_late_member_gets_at_least_half_of_its_steps(workspace, clock):
    (planned,) = fit(workspace, 96).requests
    clock.now = 1000.0
    assert planned.length(Member(0, 4)) == 50


@pytest.mark.parametrize("seconds", [45, 96, 130, 300, 1800, 7200])
@pytest.mark.parametrize("members", [1, 3])
def test_the_time_is_used_but_not_exceeded(workspace, clock, seconds, members):
    taken = fit(workspace, seconds * members, ("one", "two", "three")[:members]).seconds
    assert taken <= seconds * members
    assert taken > 0.9 * seconds * members


def test_too_few_minutes_are_refused(workspace, clock):
    with pytest.raises(UserError, match=r"^MINUTES: too few for tiny on this machine: add at least \d or choose a faster"):
        fit(workspace, 20)


def test_too_few_minutes_are_refused_after_the_first_timed_steps(workspace, clock, monkeypatch):
    """Not after a minute of timing."""

    def train_members(job, members, slots, on_event):
        on_event(SpeedMeasured(members[0], 0.1))
        on_event(SpeedMeasured(members[1], 10.0))
        pytest.fail("the timing did not end")

    monkeypatch.setattr(workers, "train_members", train_members)
    with pytest.raises(UserError, match=r"^MINUTES: too few for tiny on this machine: add at least \d or choose a faster"):
        fit(workspace, 60, steps_per_epoch=0)


def test_pipeline_that_stops_early_is_refused(workspace):
    with pytest.raises(UserError, match="MINUTES can't set the length of tiny"):
        time_budget.fit_to_minutes([request(workspace)], 1, workspace)


@pytest.mark.slow
def test_same_command_resumes_with_the_same_settings(workspace, monkeypatch):
    wanted = request(workspace, jobs=2, only=[0, 1, 2], **PLAIN)
    fit = time_budget.fit_to_minutes([wanted], 30, workspace)
    chosen = fit.requests[0].pipeline.experiment
    assert len(chosen.seeds) * chosen.epochs * chosen.steps_per_epoch > 10 * 4
    assert 1000 < fit.seconds <= 1800
    assert not workspace.run("tiny").exists()

    monkeypatch.setattr(workers, "train_members", lambda *_: pytest.fail("it was timed again"))
    again = time_budget.fit_to_minutes([request(workspace, jobs=2, only=[0, 1, 2], **PLAIN)], 30, workspace)
    assert settings_json(again.requests[0].pipeline.experiment) == settings_json(chosen)
    assert again.requests[0].pipeline.changes == fit.requests[0].pipeline.changes
    assert not fit.resumed and again.resumed and "resuming the training begun before" in budget_lines(again, None)[-1]
    for other in ({"only": [0, 1]}, {"force": True}, {"learning_rate": 0.1}):
        with pytest.raises(pytest.fail.Exception):
            time_budget.fit_to_minutes([request(workspace, jobs=2, **{"only": [0, 1, 2], **PLAIN, **other})], 30, workspace)


@pytest.mark.parametrize(("only", "full"), [([0], False), (None, True), (None, False), ([0, 1], False)])
def test_as_many_members_are_timed_as_train_in_parallel(workspace, clock, only, full):
    clock.paces = [Pace(step=0.01 * place, validation=0.1, rest=1.0) for place in (1, 2)]
    (planned,) = fit(workspace, 600, only=only, full=full, folds=3).requests
    assert len(clock.timed) == len(set(clock.timed)) == 2
    assert probe_of(planned).pace.step == pytest.approx(0.015)


def test_step_is_timed_within_executions_of_several(workspace, clock, monkeypatch):
    """A GPU runs 16 at a time, so that the 40 of an epoch are made 48."""

    def train_members(job, members, slots, on_event):
        clock.now += 20
        for epoch in (1, 2, 3):
            on_event(StepEnded(members[0], epoch, 48, 48, images_per_second=320.0, loss=0.5, accuracy=0.9))
            on_event(EpochEnded(members[0], epoch, loss=0.5, accuracy=0.9, learning_rate=0.001, seconds=5.0))
        on_event(MemberFinished(members[0]))

    monkeypatch.setattr(workers, "train_members", train_members)
    (planned,) = fit(workspace, 600, jobs=1, only=[0]).requests
    pace = probe_of(planned).pace
    assert (pace.step, pace.validation) == (pytest.approx(0.1), 0)
    assert pace.rest == pytest.approx(20 - 3 * 48 * 0.1)


def test_run_without_minutes_is_refused_before_anything_is_timed(workspace, monkeypatch):
    monkeypatch.setattr(workers, "train_members", lambda *_: pytest.fail("it was timed"))
    files.write_text(workspace.run("other") / "experiment.json", "{}")
    with pytest.raises(UserError, match=r"other was started without these MINUTES: .*RUN=.*FORCE=1"):
        time_budget.fit_to_minutes([request(workspace, "other", **PLAIN)], 3, workspace)


def test_expected_accuracy_is_that_of_the_longest_measured_training_that_fits():
    curve = {0.5: (0.991, 42_000), 1.0: (0.995, 42_000), 3.0: (0.997, 42_000)}
    assert time_budget.measured(curve, 0.3) is None
    found = time_budget.measured(curve, 2.0)
    assert (found.factor, found.images) == (1.0, 42_000)
    assert found.accuracy == metrics.proportion(41_790, 42_000)
    assert time_budget.measured(curve, 0.99).factor == 1.0  # a hundredth shorter is no other training


def test_jobs_of_gpus_are_measured_before_the_time_is_planned(workspace, clock, monkeypatch):
    """Two GPUs, each faster with two members than with one, and not faster with three."""
    gpus, now = [Gpu(uuid, "Tesla T4", 16 * 10**9, 0, 7.5) for uuid in ("GPU-a", "GPU-b")], 0
    slots = MeasuredSlots(gpus, cores=16, query=lambda: gpus, clock=lambda: now)
    monkeypatch.setattr(probing, "make_slots", lambda jobs, cpu_jobs: slots if jobs is None else FixedSlots(jobs))

    def train_members(job, members, slots, on_event):
        nonlocal now
        if isinstance(slots, FixedSlots):
            clock.train_members(job, members, slots, on_event)
            return
        taken = []
        for now in range(1000):
            taken += iter(slots.take, None)
            for slot in taken:
                sharing = sum(other.gpu == slot.gpu for other in taken)
                event = StepEnded(Member(0, 0), 0, 100 * now * min(sharing, 2) // sharing, 10**6, 1.0, 1.0, 0.5)
                slots.on_event(slot, event)
                on_event(event)

    clock.paces = [PACE] * 4
    monkeypatch.setattr(workers, "train_members", train_members)
    (planned,) = fit(workspace, 600, jobs=None).requests
    assert planned.jobs == 4
