"""One function for each command, with the options that it takes; the modules follow the steps from data to score.

Whatever takes time to import is imported inside the functions, so that `--help` and a wrong option answer at once.
"""

from digit_recognizer.cli.commands import (
    benchmark,
    data,
    demo,
    images,
    overview,
    pipelines,
    rehearsal,
    runs,
    submission,
    training,
    tuning,
)

COMMANDS = (
    *data.COMMANDS,
    *training.COMMANDS,
    *rehearsal.COMMANDS,
    *runs.COMMANDS,
    *submission.COMMANDS,
    *tuning.COMMANDS,
    *images.COMMANDS,
    *overview.COMMANDS,
    *pipelines.COMMANDS,
    *benchmark.COMMANDS,
    *demo.COMMANDS,
)
