"""The script that a notebook on Kaggle runs: it unpacks the project's wheel and the job from its own text and runs the job."""

import base64
import textwrap

from digit_recognizer import files
from digit_recognizer.remote.session import SessionJob
from digit_recognizer.remote.wheel import build_wheel, zipped

_SCRIPT = '''"""{title}

    {command}

The wheel of digit-recognizer, the pipelines' files and the job are in PAYLOAD, a zip file in base64.
"""

import base64, io, os, subprocess, sys, tempfile, zipfile

PAYLOAD = """
{payload}
"""

folder = tempfile.mkdtemp(prefix="digit-recognizer-")
zipfile.ZipFile(io.BytesIO(base64.b64decode(PAYLOAD))).extractall(folder)
os.makedirs(folder + "/pipelines", exist_ok=True)
zipfile.ZipFile(folder + "/{wheel}").extractall(folder + "/package")
paths = [folder + "/package", *filter(None, [os.environ.get("PYTHONPATH")])]
environment = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), TF_CPP_MIN_LOG_LEVEL="3")
command = [sys.executable, "-m", "digit_recognizer.remote.session", folder + "/job.json", folder + "/pipelines"]
sys.exit(subprocess.call(command, env=environment))
'''


def make_script(command: str, job: SessionJob, pipelines: dict[str, bytes]) -> str:
    """Return the script's text.

    Args:
        command: the user's command, shown in the notebook.
        pipelines: content by file name of the pipelines that are not in the wheel.
    """
    name, wheel = build_wheel()
    entries = {name: wheel, "job.json": files.record_text(job).encode()}
    entries |= {f"pipelines/{file}": content for file, content in pipelines.items()}
    payload = "\n".join(textwrap.wrap(base64.b64encode(zipped(entries)).decode(), 120))
    title = "Made by digit-recognizer to train on Kaggle's GPUs."
    return _SCRIPT.format(title=title, command=command.replace("\\", "/").replace('"""', "'''"), payload=payload, wheel=name)
