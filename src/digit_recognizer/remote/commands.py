"""The arguments of `digit-recognizer` that train runs in a notebook."""

from collections.abc import Iterator, Sequence

from digit_recognizer.experiment import settings_text
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.training.cross_validation import Request
from digit_recognizer.training.members import choose_members
from digit_recognizer.workspace import Workspace


def training_commands(requests: Sequence[Request], workspace: Workspace) -> list[list[str]]:
    """Return the arguments of `digit-recognizer` that train the unfinished members of the requests."""
    return [command for request in requests for command in _commands_of(request, workspace)]


def _commands_of(request: Request, workspace: Workspace) -> Iterator[list[str]]:
    finished = set() if request.force else set(RunFolder.of(workspace, request.run).finished())
    seeds: dict[int, list[int]] = {}
    for member in choose_members(request.pipeline.experiment, request.folds, request.full):
        if member not in finished:
            seeds.setdefault(member.seed, []).append(-1 if member.fold is None else member.fold)
    together: dict[tuple[int, ...], list[int]] = {}
    for seed, folds in seeds.items():
        together.setdefault(tuple(folds), []).append(seed)
    for folds, of_seeds in together.items():
        words = [f"--pipeline={request.pipeline.name}", f"--run={request.run}", f"--seeds={_listed(of_seeds)}"]
        which = "--full" if request.full else f"--folds={_listed(folds)}"
        yield ["train", *words, *_settings(request, without="seeds"), which]


def fitting_command(requests: Sequence[Request], minutes: float) -> list[list[str]]:
    """Return the arguments of `digit-recognizer` that train all requests within some minutes."""
    first = requests[0]
    words = ["--pipeline=" + " ".join(request.pipeline.name for request in requests), f"--minutes={minutes:g}"]
    words += [f"--run={first.run}"] if len(requests) == 1 else []
    words += ["--full"] if first.full else [f"--folds={_listed(first.folds)}"] if first.folds is not None else []
    return [["train", *words, *_settings(first)]]


def _settings(request: Request, without: str = "") -> list[str]:
    changes = {name: value for name, value in request.pipeline.changes.items() if name != without}
    return [f"--set={settings_text(changes)}"] * bool(changes) + [f"--jobs={request.jobs}"] * bool(request.jobs)


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
