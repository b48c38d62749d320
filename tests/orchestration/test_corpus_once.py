"""What a corpus is gets found once, and is passed on through all of a launch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# A launch as far as to its grid: the check, the plan and the preparation are behind it by then.
PROGRAM = """
import sys
from pathlib import Path
from raydt.config.sweep import Sweep
from raydt.orchestration import launch
from raydt.terminal.progress import Progress

corpus, folder, storage = sys.argv[1:]
listed = []

def listen(event, arguments):
    if event in ("os.listdir", "os.scandir"):
        path = Path(str(arguments[0]))  # of a folder that is removed it is a number
        if path.is_relative_to(folder):
            listed.append(path.relative_to(folder).as_posix())

def stop(sweep):
    print("LISTED", *sorted(listed))
    sys.exit()

sys.addaudithook(listen)
launch.sweep_cells = stop
sizes = {"sizes": ("2k",), "pretrain_size": "2k"}
languages = {"sources": ("en", "fi"), "targets": ("de",)}
launch.launch(Sweep(corpus=corpus, storage=storage, **languages, **sizes), Progress())
"""


@pytest.mark.parametrize("form", ["{}", "{}?aligned=yes", "{}/{{language}}/*.txt"])
def test_a_launch_lists_each_folder_once(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    for language in ("de", "en", "fi"):
        (folder / language).mkdir(parents=True)
        lines = (f"{language} says that {i} is more than {i - 1}\n" for i in range(4_000))
        (folder / language / "part.txt").write_text("".join(lines))
    corpus = f"files:{form.format(folder)}"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, corpus, str(folder), str(tmp_path / "runs")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("LISTED")[1].split() == [".", "de", "en", "fi"]
