"""The settings of an experiment, changes to them, and the loading of pipelines."""

from digit_recognizer.experiment.changes import (
    differences,
    flat,
    override,
    parse_settings,
    settings_json,
    settings_text,
)
from digit_recognizer.experiment.pipelines import Pipeline, available, load, summary_of
from digit_recognizer.experiment.settings import (
    Augmentation,
    Checkpoint,
    EarlyStopping,
    Experiment,
    ReduceLROnPlateau,
    Schedule,
)

__all__ = [
    "Augmentation",
    "Checkpoint",
    "EarlyStopping",
    "Experiment",
    "Pipeline",
    "ReduceLROnPlateau",
    "Schedule",
    "available",
    "differences",
    "flat",
    "load",
    "override",
    "parse_settings",
    "settings_json",
    "settings_text",
    "summary_of",
]
