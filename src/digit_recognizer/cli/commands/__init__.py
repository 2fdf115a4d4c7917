"""One function for each command, with its options.

Slow imports are inside the functions, so that `--help` and errors in options are fast.
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
