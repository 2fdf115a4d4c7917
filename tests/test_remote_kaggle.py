"""Training in a notebook on Kaggle: the unmodified client with a server on loopback."""

import dataclasses
import io
import json
import os
import zipfile

import kaggle_server
import pytest
import tiny_run
from kaggle_notebooks import NotebookServer, Version, on_kaggle
from kaggle_server import TOKEN, Answer

from digit_recognizer import backend, files, kaggle_client
from digit_recognizer.data import dataset
from digit_recognizer.errors import UserError
from digit_recognizer.rehearsal.parts import make_part
from digit_recognizer.remote import watch
from digit_recognizer.remote.kaggle import KaggleWorkers
from digit_recognizer.remote.pushed import PushedStore, pushed_statuses
from digit_recognizer.remote.session import ARCHIVE, RESULT, SessionResult
from digit_recognizer.runs.folder import RunFolder
from digit_recognizer.runs.records import read_run_record
from digit_recognizer.training import cross_validation
from digit_recognizer.training.events import LogLine, Warned

FOLDS = {"epochs": 1, "folds": 2, "jobs": None}


@pytest.fixture(scope="module")
def competition(tmp_path_factory):
    """A workspace with digits that are treated as the competition's, and the same run trained on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        workspace = tiny_run.make_workspace(tmp_path_factory.mktemp("competition"))
        patch.setattr(dataset, "COMPETITION_SHA256", dataset.load_dataset(workspace).sha256)
        tiny_run.train_here(tiny_run.request(workspace, **FOLDS), workspace)
        yield workspace


@pytest.fixture
def workspace(competition, tmp_path):
    """A workspace with the same data and pipeline, without runs."""
    (tmp_path / "own").mkdir()
    for name in ("input", "pipelines"):
        (tmp_path / "own" / name).symlink_to(competition.root / name)
    return dataclasses.replace(competition, root=tmp_path / "own")


@pytest.fixture
def trained_there(competition):
    """A replacement of the notebook's execution, whose output is the run of `competition`."""

    def execute(version: Version, change=lambda files: files, **result) -> None:
        run = competition.run("tiny")
        contents = {f"runs/tiny/{path.relative_to(run)}": path.read_bytes() for path in run.rglob("*") if path.is_file()}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in change(contents).items():
                archive.writestr(name, content)
        version.log += ["training on 2 x Tesla T4\n", "tiny: training 2 models\n", "tiny fold 0: epoch ", "1/1\n"]
        digest = files.hashlib.sha256(buffer.getvalue()).hexdigest()
        done = SessionResult(**{"token": version.job()["token"], "outcome": "done", "message": "", "sha256": digest} | result)
        version.output = {ARCHIVE: buffer.getvalue(), RESULT: files.record_text(done).encode()}
        version.state = "COMPLETE"

    return execute


@pytest.fixture
def server(monkeypatch, tmp_path, trained_there):
    """The server that this process's client uses."""
    with NotebookServer(trained_there) as running:
        for name, value in kaggle_server.environment(running, tmp_path / "home").items():
            monkeypatch.setenv(name, value)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(kaggle_client, "TIMEOUT", 1.0)
        monkeypatch.setattr(watch, "POLL_SECONDS", 0.05)
        yield running


def train(workspace, *requests, interrupt_at="", **changes):
    """Train `tiny`, or the requests, on Kaggle; return the text that a person sees. A line can be where Ctrl-C is pressed."""
    requests = requests or (tiny_run.request(workspace, **{**FOLDS, **changes}),)
    workers, seen = KaggleWorkers(requests), []

    def on_event(event):
        if isinstance(event, LogLine | Warned):
            seen.append(event.text if isinstance(event, LogLine) else event.message)
            if seen[-1] == interrupt_at:
                raise KeyboardInterrupt

    try:
        for request in requests:
            cross_validation.train(dataclasses.replace(request, elsewhere=workers), workspace, on_event)
    except BaseException as error:
        error.seen = "\n".join(seen)
        assert TOKEN not in error.seen + str(error)
        raise
    assert TOKEN not in "\n".join(seen)
    return "\n".join(seen)


def refused(workspace, *requests, **changes) -> str:
    """Return the one line with which a training on Kaggle is refused."""
    with pytest.raises(UserError) as caught:
        train(workspace, *requests, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nothing_is_left(workspace) -> bool:
    return not workspace.run("tiny").exists() or RunFolder.of(workspace, "tiny").finished() == []


def test_run_comes_back_as_if_it_had_been_trained_here(server, workspace, competition):
    seen = train(workspace)
    assert tiny_run.probabilities(workspace.run("tiny")) == tiny_run.probabilities(competition.run("tiny"))
    assert RunFolder.of(workspace, "tiny").finished() == RunFolder.of(competition, "tiny").finished()
    assert "20.0 of 30 GPU hours left until Sat 28 Nov" in seen
    assert "Kaggle: complete" in seen and "  tiny fold 0: epoch 1/1" in seen
    assert not any((workspace.root / "remote").iterdir())


def test_notebook_is_private_and_has_gpus_the_data_no_internet_and_no_secret(server, workspace):
    train(workspace)
    (version,) = server.versions
    pushed = version.pushed
    assert (pushed["slug"], pushed["newTitle"]) == ("someone/digit-recognizer-tiny", "digit recognizer tiny")
    assert (pushed["isPrivate"], pushed["enableGpu"], pushed.get("enableInternet", False)) == (True, True, False)
    assert (pushed["machineShape"], pushed["kernelType"]) == ("NvidiaTeslaT4", "script")
    assert pushed["competitionDataSources"] == ["digit-recognizer"]
    assert pushed["sessionTimeoutSeconds"] == 12 * 3600
    names = version.payload().namelist()
    assert names == ["digit_recognizer-1.0.0-py3-none-any.whl", "job.json", "pipelines/tiny.py"]
    assert version.job()["commands"] == [
        ["train", "--pipeline=tiny", "--run=tiny", "--seeds=0", "--set=epochs=1 folds=2", "--folds=0,1"]
    ]
    assert "digit-recognizer train --pipeline=tiny --run=tiny" in version.text
    assert TOKEN not in version.text + "".join(version.payload().read(name).decode("latin-1") for name in names)


def test_only_members_that_are_not_trained_yet_are_trained_there(server, workspace, competition):
    tiny_run.train_here(tiny_run.request(workspace, only=[0], **FOLDS), workspace)
    train(workspace)
    assert server.versions[0].job()["commands"][0][-1] == "--folds=1"
    assert tiny_run.probabilities(workspace.run("tiny")) == tiny_run.probabilities(competition.run("tiny"))


def test_record_has_the_devices_there_where_all_members_were_trained_there(server, workspace, competition):
    execute = server.execute
    record = dataclasses.replace(read_run_record(RunFolder.of(competition, "tiny")), device="2 x Tesla T4")
    there = {"runs/tiny/experiment.json": files.record_text(record).encode()}
    server.execute = lambda version: execute(version, lambda contents: contents | there)
    train(workspace)
    assert read_run_record(RunFolder.of(workspace, "tiny")).device == "2 x Tesla T4"


def test_record_keeps_the_devices_here_where_a_member_was_trained_here(server, workspace):
    tiny_run.train_here(tiny_run.request(workspace, only=[0], **FOLDS), workspace)
    before = read_run_record(RunFolder.of(workspace, "tiny"))
    train(workspace)
    assert read_run_record(RunFolder.of(workspace, "tiny")) == before


def test_trained_run_sends_no_request_to_kaggle(server, workspace):
    train(workspace)
    server.calls.clear()
    train(workspace)
    assert server.calls == []


def test_ctrl_c_only_stops_watching_and_the_same_command_picks_it_up(server, workspace):
    execute = server.execute
    server.execute = lambda version: None  # it trains for long
    with pytest.raises(KeyboardInterrupt) as caught:
        train(workspace, interrupt_at="Kaggle: running")
    assert "continues at https://www.kaggle.com/code/someone/digit-recognizer-tiny" in caught.value.seen
    (pushed,) = PushedStore(workspace).all()
    assert pushed.runs.keys() == {"tiny"}
    execute(server.versions[0])
    train(workspace)
    assert len(server.versions) == 1
    assert len(RunFolder.of(workspace, "tiny").finished()) == 2


def test_minutes_are_planned_on_kaggle_and_its_length_is_taken(server, workspace, competition):
    request = tiny_run.request(workspace, **{**FOLDS, "epochs": 7})
    record = read_run_record(RunFolder.of(competition, "tiny"))
    there = {"runs/tiny/experiment.json": files.record_text(dataclasses.replace(record, changes={**record.changes})).encode()}
    execute = server.execute
    server.execute = lambda version: execute(version, lambda contents: contents | there)
    seen = []
    workers = KaggleWorkers([request])
    (fitted,) = workers.fit(30, workspace, seen.append)
    assert server.versions[0].job()["commands"] == [
        ["train", "--pipeline=tiny", "--minutes=30", "--run=tiny", "--set=epochs=7 folds=2"]
    ]
    assert fitted.pipeline.experiment.epochs == 1
    train(workspace, fitted)
    assert len(server.versions) == 1
    assert tiny_run.probabilities(workspace.run("tiny")) == tiny_run.probabilities(competition.run("tiny"))
    assert KaggleWorkers([request]).fit(30, workspace, seen.append)[0].pipeline.experiment.epochs == 1  # it is begun
    assert len(server.versions) == 1


def test_more_minutes_than_a_notebook_has_are_refused(server, workspace):
    with pytest.raises(UserError, match="MINUTES=700 at most"):
        KaggleWorkers([tiny_run.request(workspace)]).fit(701, workspace, lambda event: None)


def test_status_lists_what_trains_on_kaggle(server, workspace):
    server.execute = lambda version: None
    with pytest.raises(KeyboardInterrupt):
        train(workspace, interrupt_at="Kaggle: running")
    ((pushed, state),) = pushed_statuses(workspace)
    assert (list(pushed.runs), state) == (["tiny"], "running")
    server.answers["GetKernelSessionStatus"] = Answer(status=503)
    assert "not known" in pushed_statuses(workspace)[0].state


def test_rehearsed_part_is_trained_on_kaggle(server, workspace, competition):
    inner = make_part(workspace, 2)
    server.execute = lambda version: None
    request = tiny_run.request(workspace, **FOLDS)
    with pytest.raises(KeyboardInterrupt):
        train(inner, request, interrupt_at="Kaggle: running")
    job = server.versions[0].job()
    assert (job["part"], job["dataset_sha256"]) == (2, dataset.load_dataset(inner).sha256)
    assert server.versions[0].pushed["slug"] == "someone/digit-recognizer-tiny-part-2"


def test_other_settings_under_the_same_name_are_refused_while_a_notebook_trains_it(server, workspace):
    server.execute = lambda version: None
    with pytest.raises(KeyboardInterrupt):
        train(workspace, interrupt_at="Kaggle: running")
    (workspace.run("tiny") / "experiment.json").unlink()
    assert "has been training 'tiny' with other settings" in refused(workspace, epochs=2)


def test_several_runs_are_trained_in_one_notebook(server, workspace, competition):
    execute = server.execute

    def twice(contents):
        return contents | {name.replace("runs/tiny/", "runs/again/"): content for name, content in contents.items()}

    server.execute = lambda version: execute(version, twice)
    train(workspace, tiny_run.request(workspace, **FOLDS), tiny_run.request(workspace, "again", **FOLDS))
    assert len(server.versions) == 1
    assert [command[2] for command in server.versions[0].job()["commands"]] == ["--run=tiny", "--run=again"]
    assert tiny_run.probabilities(workspace.run("again")) == tiny_run.probabilities(competition.run("tiny"))


def test_version_without_the_data_is_pushed_once_more(server, workspace):
    execute = server.execute

    def first_without(version):
        execute(version, **({"outcome": "no data"} if len(server.versions) == 1 else {}))

    server.execute = first_without
    assert "pushing it once more" in train(workspace)
    assert len(server.versions) == 2


def test_stopped_notebook_gives_what_it_finished_and_the_same_command_trains_the_rest(server, workspace, competition):
    execute = server.execute
    server.execute = lambda version: execute(
        version,
        lambda contents: {name: content for name, content in contents.items() if "fold_1" not in name},
        outcome="stopped",
    )
    assert "trained 1 of 2 models (its time ended)" in refused(workspace)
    assert len(RunFolder.of(workspace, "tiny").finished()) == 1
    server.execute = execute
    train(workspace)
    assert server.versions[1].job()["commands"][0][-1] == "--folds=1"
    assert tiny_run.probabilities(workspace.run("tiny")) == tiny_run.probabilities(competition.run("tiny"))


def test_failed_notebook_gives_what_it_finished(server, workspace):
    execute = server.execute

    def without_fold_1(contents):
        return {name: content for name, content in contents.items() if "fold_1" not in name}

    server.execute = lambda version: execute(version, without_fold_1, outcome="failed", message="fold 1: out of memory")
    assert "trained 1 of 2 models (fold 1: out of memory)" in refused(workspace)
    assert len(RunFolder.of(workspace, "tiny").finished()) == 1


def test_less_gpu_time_than_a_session_limits_the_training(server, workspace):
    server.quota = {"timeUsed": "104400s", "totalTimeAllowed": "108000s"}
    train(workspace)
    assert server.versions[0].pushed["sessionTimeoutSeconds"] == 3600
    assert server.versions[0].job()["seconds"] == 2400


USED_UP = {"timeUsed": "108000s", "totalTimeAllowed": "108000s"}

# Answers of Kaggle to a call, and words that the error must contain.
REFUSALS = {
    "no hours": ("GetAcceleratorQuotaStatistics", Answer({"gpuQuota": USED_UP}), ["only 0.0 GPU hours are left", "ON"]),
    "phone": ("SaveKernel", Answer({"error": "Phone verification is required"}), ["Phone verification", "kaggle.com/settings"]),
    "quota": ("SaveKernel", Answer({"error": "Maximum weekly GPU quota reached."}), ["Maximum weekly", "next week"]),
    "rules": ("SaveKernel", Answer({"invalidCompetitionSources": ["digit-recognizer"]}), ["digit-recognizer/rules"]),
    "403": ("SaveKernel", Answer({"code": 403, "message": "Forbidden"}, status=403), ["403", "phone"]),
    "400": ("SaveKernel", Answer({"code": 400, "message": "Bad title"}, status=400), ["Bad title"]),
    "echo of the token": ("SaveKernel", Answer({"error": f"bad token {TOKEN}"}), ["bad token ***"]),
    "busy": ("GetKernelSessionStatus", Answer({"status": "RUNNING"}), ["is running already", "RUN="]),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_is_one_line_and_leaves_nothing(name, server, workspace):
    call, answer, words = REFUSALS[name]
    server.answers[call] = answer
    message = refused(workspace)
    assert all(word in message for word in words), message
    assert nothing_is_left(workspace) and PushedStore(workspace).all() == []


def damaged(contents):
    return contents | {"runs/tiny/seed_0/fold_1/predictions.npz": b"x"}


def of_other_settings(contents):
    record = json.loads(contents["runs/tiny/experiment.json"])
    record.pop("checksum")
    record["settings"]["batch_size"] = 7
    return contents | {"runs/tiny/experiment.json": json.dumps(record).encode()}


OUTPUTS = {
    "no gpu": ({"outcome": "no gpu"}, ["no GPU", "phone number"]),
    "other data": ({"outcome": "other data"}, ["make data FORCE=1"]),
    "failed": (
        {"outcome": "failed", "message": "out of memory", "change": lambda contents: {}},
        ["failed: out of memory"],
    ),
    "foreign": ({"token": "another"}, ["was not pushed from this folder"]),
    "cut archive": ({"sha256": "0"}, ["incomplete or damaged"]),
    "damaged member": ({"change": damaged}, ["damaged", "predictions.npz"]),
    "other settings": ({"change": of_other_settings}, ["trained differently", "batch_size: 32 -> 7"]),
    "no run": ({"change": lambda contents: {}}, ["no run 'tiny'"]),
    "no data twice": ({"outcome": "no data"}, ["accept the rules"]),
    "paths": ({"change": lambda contents: {"../../outside.txt": b"x", "/outside.txt": b"x"}}, ["no run 'tiny'"]),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_bad_output_is_one_line_and_no_member_is_taken(name, server, workspace, tmp_path):
    options, words = OUTPUTS[name]
    execute = server.execute
    server.execute = lambda version: execute(version, **options)
    message = refused(workspace)
    assert all(word in message for word in words), message
    assert name == "damaged member" or nothing_is_left(workspace)
    assert not list(tmp_path.rglob("outside.txt"))


def test_failed_notebook_shows_the_last_lines_of_its_log(server, workspace):
    def fail(version):
        version.log += [f"line {number}\n" for number in range(30)]
        version.reason, version.state = "Your notebook was killed", "ERROR"

    server.execute = fail
    with pytest.raises(UserError, match="failed: Your notebook was killed") as caught:
        train(workspace)
    assert "line 29" in caught.value.seen
    assert PushedStore(workspace).all() == []


def test_notebook_stopped_on_kaggle_is_one_line(server, workspace):
    server.execute = lambda version: setattr(version, "state", "CANCEL_ACKNOWLEDGED")
    assert "was stopped on Kaggle" in refused(workspace)


def test_watching_continues_after_a_short_outage_and_ends_after_a_long_one(server, workspace, monkeypatch):
    execute = server.execute
    down = [Answer({"message": "down"}, status=503)] * 3
    server.execute = lambda version: (execute(version), server.answers.update(GetKernelSessionStatus=[*down]))
    assert "trying again" in train(workspace)
    server.execute = lambda version: server.answers.update(GetKernelSessionStatus=down[0])
    monkeypatch.setattr(watch, "OUTAGE_SECONDS", 0.2)
    request = tiny_run.request(workspace, "other", **FOLDS)
    assert "no answer from Kaggle" in refused(workspace, request)
    assert [pushed.runs.keys() for pushed in PushedStore(workspace).all()] == [{"other"}]


def test_other_data_than_the_competitions_is_refused_before_anything_is_pushed(server, workspace, monkeypatch):
    monkeypatch.setattr(dataset, "COMPETITION_SHA256", "0")
    assert "the competition's data, but input/ holds" in refused(workspace)
    assert server.versions == []


@pytest.mark.slow
@pytest.mark.parametrize("nested", [True, False])
def test_pushed_script_trains_the_run_as_a_machine_with_two_gpus_does(
    server, workspace, competition, tmp_path, nested, monkeypatch
):
    server.execute = on_kaggle(tmp_path / "there", competition.input, nested=nested)
    seen = train(workspace, precision="float32")
    assert "  training on 2 x Tesla T4" in seen
    assert read_run_record(RunFolder.of(workspace, "tiny")).device == "2 x Tesla T4"

    monkeypatch.setenv("PATH", f"{tmp_path / 'there' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    backend.gpus.cache_clear()
    cross_validation.train(tiny_run.request(workspace, "here", **FOLDS, precision="float32"), workspace)
    backend.gpus.cache_clear()
    assert read_run_record(RunFolder.of(workspace, "here")).device == "2 x Tesla T4"
    assert tiny_run.probabilities(workspace.run("tiny")) == tiny_run.probabilities(workspace.run("here"))


@pytest.mark.slow
def test_rehearsed_part_comes_back_from_kaggle(server, workspace, competition, tmp_path):
    inner = make_part(workspace, 2)
    server.execute = on_kaggle(tmp_path / "there", competition.input)
    train(inner, tiny_run.request(workspace, **FOLDS, precision="float32"))
    assert len(RunFolder.of(inner, "tiny").finished()) == 2
    assert read_run_record(RunFolder.of(inner, "tiny")).dataset.sha256 == dataset.load_dataset(inner).sha256


@pytest.mark.slow
def test_kaggle_without_gpu_or_data_is_one_line(server, workspace, competition, tmp_path):
    server.execute = on_kaggle(tmp_path / "no gpu", competition.input, gpus="#!/bin/sh\nexit 9\n")
    assert "no GPU" in refused(workspace)
    server.execute = on_kaggle(tmp_path / "no data", tmp_path / "nowhere")
    assert "accept the rules" in refused(workspace)
