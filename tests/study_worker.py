"""Studies with simulated trainings, for fast tests of everything except training.

As a program it runs the command of one machine:

    python tests/study_worker.py WORKSPACE '{"trials": 6, "storage": "postgresql://..."}' SECONDS_PER_FOLD

Each fold that is trained adds a line `folder fold` to WORKSPACE/trained.txt.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from digit_recognizer import metrics
from digit_recognizer.data.dataset import DIGITS, Dataset
from digit_recognizer.errors import UserError
from digit_recognizer.experiment import load
from digit_recognizer.runs.member import Member
from digit_recognizer.training.events import EpochEnded, OnEvent, ignore
from digit_recognizer.tuning import database, journal, study, trainer, trial_loop, trials
from digit_recognizer.tuning.study import StudyRequest, tune
from digit_recognizer.tuning.summary import StudySummary
from digit_recognizer.tuning.trainer import TrialResult
from digit_recognizer.workspace import Workspace

ROWS = 1000
PIPELINE = '''"""A pipeline to tune."""
from digit_recognizer.models import networks
from digit_recognizer.experiment import Augmentation, Experiment

EXPERIMENT = Experiment(network=networks.mlp, folds=3, epochs=4, learning_rate=0.04, augmentation=Augmentation(rotation=5))


def suggest(trial):
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 0.04, log=True),
        "network_options.dropout": trial.suggest_float("network_options.dropout", 0, 0.5),
        "augmentation.rotation": trial.suggest_float("augmentation.rotation", 0, 20),
    }
'''


def workspace_with_pipeline(root: Path, text: str = PIPELINE) -> Workspace:
    """Make a workspace with the pipeline `quick`."""
    (root / "pipelines").mkdir(parents=True, exist_ok=True)
    (root / "pipelines" / "quick.py").write_text(text)
    return Workspace(root)


def dataset(workspace: Workspace) -> Dataset:
    """Return data that is not used."""
    images = np.zeros((ROWS, 28, 28, 1), dtype=np.uint8)
    return Dataset(images, np.arange(ROWS) % 10, images[:10], DIGITS, "0" * 64, "bundled", False)


def quick_evaluate(seconds: float):
    """Return a replacement of `trainer.evaluate`: the best learning rate is 1e-3, and those above 0.05 fail."""

    def evaluate(job, dataset, workers, on_event, on_epoch=lambda *_: None, on_fold=lambda *_: None):
        experiment, folder = job.pipeline.experiment, job.run.path
        folder.mkdir(parents=True, exist_ok=True)
        if experiment.learning_rate > 0.05:
            raise UserError("the loss became nan in epoch 1: lower learning_rate")
        distance = abs(np.log10(experiment.learning_rate / 1e-3))
        loss = 0.1 + 0.02 * distance**2 + 1e-4 * (experiment.seeds[0] % 7)
        losses = [loss + 1e-3 * fold * (1 + distance) for fold in range(experiment.folds)]
        for fold in range(experiment.folds):
            done = folder / f"fold_{fold}"
            if not done.exists():
                for epoch in range(1, experiment.epochs + 1):
                    time.sleep(seconds / experiment.epochs)
                    on_event(EpochEnded(Member(0, fold), epoch, loss, 0.9, learning_rate=0.001, seconds=0.1))
                    if fold == 0:
                        on_epoch(epoch, losses[0] * (2 - epoch / experiment.epochs))
                done.touch()
                with (job.workspace.root / "trained.txt").open("a") as file:
                    file.write(f"{folder.name} {fold}\n")
            on_fold(fold + 1, float(np.mean(losses[: fold + 1])))
        return TrialResult(float(np.mean(losses)), metrics.proportion(ROWS * (1 - loss), ROWS), losses, 3 * seconds, ROWS)

    return evaluate


def search(workspace: Workspace, on_event: OnEvent = ignore, **options: Any) -> StudySummary:
    """Run or resume the study of `quick` in this process."""
    changes = options.pop("changes", {})
    return tune(StudyRequest(load("quick", workspace, changes), "quick", **options), workspace, on_event)


def known_trials(workspace: Workspace, study_name: str = "quick") -> list[FrozenTrial]:
    """Return all trials of a study in the journal of `quick`."""
    storage = journal.open_journal(journal.path_of("quick", workspace))
    return optuna.load_study(study_name=study_name, storage=storage).get_trials()


def counted_trials(workspace: Workspace) -> list[FrozenTrial]:
    """Return the trials that count for TRIALS."""
    return [trial for trial in known_trials(workspace) if trials.counts(trial)]


def start(workspace: Workspace, seconds: float, **options: Any) -> subprocess.Popen:
    """Start this file as a program."""
    return start_program([__file__, workspace.root, json.dumps(options), str(seconds)])


def start_program(arguments: list[Any]) -> subprocess.Popen:
    """Start Python with these arguments; its output is one stream."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, *arguments], **pipes, text=True, bufsize=1, start_new_session=True)


def read_until(worker: subprocess.Popen, text: str, times: int = 1) -> None:
    """Read the worker's output until `times` lines contain `text`.

    Raises:
        AssertionError: the worker ended before.
    """
    lines = []
    for line in worker.stdout:
        lines.append(line)
        times -= text in line
        if not times:
            return
    raise AssertionError("the worker ended: " + "".join(lines))


def main() -> None:
    workspace, options, seconds = Workspace(Path(sys.argv[1])), json.loads(sys.argv[2]), float(sys.argv[3])
    study.load_dataset, trainer.evaluate = dataset, quick_evaluate(seconds)
    database.HEARTBEAT_INTERVAL, database.GRACE_PERIOD, trial_loop.POLL_INTERVAL = 1, 4, 0.1
    pipeline = load("quick", workspace)
    try:
        summary = tune(StudyRequest(pipeline, "quick", **options), workspace, lambda event: print(event, flush=True))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({"trials": summary.trials, "interrupted": summary.interrupted, "verdict": summary.conclusion}))


if __name__ == "__main__":
    main()
