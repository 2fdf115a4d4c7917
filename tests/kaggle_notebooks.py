"""A server on loopback that acts as Kaggle's notebooks: it executes pushed scripts in folders like Kaggle's."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kaggle_server import Answer, KaggleServer

TWO_T4 = """#!/bin/sh
echo "GPU-a, Tesla T4, 15360, 3, 7.5"
echo "GPU-b, Tesla T4, 15360, 3, 7.5"
"""


@dataclass
class Version:
    """One version of a notebook; `text` is its script."""

    pushed: dict
    state: str = "RUNNING"
    reason: str = ""
    log: list[str] = field(default_factory=list)
    output: dict[str, bytes] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.pushed["text"]

    def payload(self) -> zipfile.ZipFile:
        """The zip file in the script."""
        encoded = re.search(r'PAYLOAD = """(.*?)"""', self.text, re.DOTALL)[1]
        return zipfile.ZipFile(io.BytesIO(base64.b64decode(encoded)))

    def job(self) -> dict:
        return json.loads(self.payload().read("job.json"))


Execute = Callable[[Version], None]


class NotebookServer(KaggleServer):
    """Answers like Kaggle; `execute` runs a pushed version in a thread and sets its log, output and state."""

    def __init__(self, execute: Execute) -> None:
        super().__init__()
        self.execute = execute
        self.versions: list[Version] = []
        self.quota = {"timeUsed": "36000s", "totalTimeAllowed": "108000s"}
        self.threads: list[threading.Thread] = []

    def _usual(self, name: str, body: dict) -> Answer:
        latest = self.versions[-1] if self.versions else None
        match name:
            case "SaveKernel":
                self.versions.append(Version(body))
                self.threads.append(threading.Thread(target=self.execute, args=(self.versions[-1],), daemon=True))
                self.threads[-1].start()
                return Answer({"ref": body["slug"], "url": "https://www.kaggle.com/x", "versionNumber": len(self.versions)})
            case "GetKernelSessionStatus" if latest:
                return Answer({"status": latest.state, "failureMessage": latest.reason})
            case "GetKernelSessionStatus":
                return Answer({"code": 403, "message": "Permission 'kernels.get' was denied"}, status=403)
            case "ListKernelSessionOutput":
                files = [{"fileName": one, "url": f"http://storage.localhost/output/{one}"} for one in latest.output]
                return Answer({"files": files, "log": "".join(latest.log)})
            case "output":
                return Answer(latest.output[body["name"]], headers={"Content-Type": "application/octet-stream"})
            case "api":  # GET /api/v1/kernels/logs/stream/<owner>/<slug>
                events = [
                    f"data: {json.dumps({'stream_name': 'stdout', 'time': 1.0, 'data': text})}\n\n" for text in latest.log
                ]
                ended = [] if latest.state == "RUNNING" else ["data: END_OF_LOG\n\n"]
                return Answer("".join(events + ended).encode(), headers={"Content-Type": "text/event-stream"})
            case "GetAcceleratorQuotaStatistics":
                return Answer({"gpuQuota": self.quota, "quotaRefreshTime": "2026-11-28T00:00:00Z"})
        return super()._usual(name, body)


def on_kaggle(folder: Path, data: Path, *, gpus: str = TWO_T4, nested: bool = True, python: str = sys.executable) -> Execute:
    """Return a function that executes a version's script as Kaggle does, in `folder` with the files of `data` as its input."""
    given = folder / "kaggle" / "input" / ("competitions" if nested else "") / "digit-recognizer"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "nvidia-smi").write_text(gpus)
    (programs / "nvidia-smi").chmod(0o755)
    if data.is_dir():
        given.mkdir(parents=True)
        for name in ("train.csv", "test.csv", "sample_submission.csv"):
            shutil.copy(data / name, given)
            (given / name).chmod(0o444)

    def execute(version: Version) -> None:
        working = folder / "kaggle" / "working"
        shutil.rmtree(working, ignore_errors=True)
        working.mkdir(parents=True)
        (folder / "script.py").write_text(version.text)
        environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"}
        words = [python, str(folder / "script.py")]
        with subprocess.Popen(
            words, cwd=working, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            version.log += process.stdout
        version.output = {path.name: path.read_bytes() for path in working.iterdir()}
        version.state = "ERROR" if process.returncode else "COMPLETE"

    return execute
