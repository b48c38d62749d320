"""Every command of README.md and of the first pages of docs: run here as it stands, or named with
the place where it is run.

Training commands get smaller budgets appended; the demo in full is run by `.ci/run`, which then
checks its result.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
SMALL = "--protocol.val-bytes 1k --protocol.test-bytes 1k " + " ".join(
    f"--protocol.{stage}.epochs 0=1 64k=0.05" for stage in ("pretrain", "scratch", "finetune")
)
SEARCH = "tests/integration/test_hparams.py"
TORCH = "https://download.pytorch.org/whl/cpu"
# The pages, in an order in which their commands can be run.
PAGES = ("README.md", "docs/sweeps.md", "docs/install.md", "docs/study.md")
STUDY = "tests/test_study.py"
ORDER = "en de es pt fi ru ar ja zh ko"
# Run elsewhere, and where.
ELSEWHERE = {
    "make demo": ".ci/run",
    "make test": "Makefile",
    "make test-all": ".ci/run",
    "make test-long": "Makefile",
    "make lint": ".ci/run",
    "python3 -m venv .venv && . .venv/bin/activate": "Makefile",
    "pip install -c constraints.txt -e '.[dev]'": "Makefile",
    "ray up cluster.yaml": "tests/cluster/test_cluster_file.py",
    "python sweeps/hparams.py": SEARCH,
    "python sweeps/grid.py --hparams runs/demo/hparams.toml --name demo-tuned": SEARCH,
    "raydt push models/zh --to OWNER/NAME": "tests/export/test_push.py",
    "raydt refine texts --until 1.5 --dry-run": "tests/commands/test_refine.py",
    "raydt refine texts --until 1.5 --budget 30m": "tests/integration/test_refine.py",
    "raydt export": "tests/export/test_cells.py",
    "raydt import": "tests/losses/test_imported.py",
    "raydt run": "tests/macos/test_macos.py",
    "raydt hparams": SEARCH,
    "raydt refine": "tests/integration/test_refine.py",
    "raydt probe": "tests/test_whole_grid.py",
    "raydt submit": "tests/integration/test_jobs.py",
    "raydt logs -f": "tests/integration/test_jobs.py",
    "raydt stop": "tests/integration/test_jobs.py",
    "raydt resume": "tests/integration/test_jobs.py",
    "python -m raydt.corpora.controlled nonsense brackets --to texts --bytes 3M": STUDY,
    "python sweeps/study/groups.py runs/study/report": STUDY,
}
# Run by hand alone, and why.
BY_HAND = {
    f"pip install torch==2.13.0 --index-url {TORCH}": "it asks pytorch.org",
    f"PIP_EXTRA_INDEX_URL={TORCH} make demo": "it asks pytorch.org; without it: .ci/run",
    "python docs/pictures/terminal.py --after 6 -- --sweep sweeps/smoke.toml --slots 2": "picture",
    f"python docs/pictures/map.py runs/study/report --size 8k --order {ORDER}": "of an hour's run",
    "cd texts && sha256sum --check ../sweeps/study/texts.sha256": f"not our texts: {STUDY}",
    "python sweeps/grid.py --sweep sweeps/study/pairs.toml": f"50 minutes; its cells: {STUDY}",
    "python sweeps/grid.py --sweep sweeps/study/joint.toml": f"14 minutes; its cells: {STUDY}",
    "python sweeps/grid.py --sweep sweeps/study/mixtures.toml": f"25 minutes; its cells: {STUDY}",
    "raydt refine study --until 1.5 --dry-run": "of an hour's run",
    "raydt analyze study --every-launch": "of an hour's run; tests/analysis/store/test_store.py",
    "raydt analyze study-mixtures": "of 25 minutes' run",
}


def commands(page: str) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(), flags=re.S)
    lines = [line.split(" #")[0].rstrip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`((?:python|raydt) [^`]+)`", (ROOT / page).read_text())
    return list(dict.fromkeys(line for line in [*lines, *inline] if line))


def test_what_is_run_elsewhere_is_run_there() -> None:
    found = {c for page in (*PAGES, "CONTRIBUTING.md") for c in commands(page)}
    assert found >= ELSEWHERE.keys() | BY_HAND.keys()
    ci = (ROOT / ".ci" / "run").read_text()
    for command in ("make demo", "make test-all", "make lint"):
        assert command in ci.splitlines()
    makefile = (ROOT / "Makefile").read_text()
    assert "\ntest-all: test " in makefile
    assert "-m venv $(VENV)" in makefile
    assert "pip install --quiet --constraint constraints.txt --editable '.[dev]'" in makefile
    assert (ROOT / "cluster.yaml").exists()
    jobs = (ROOT / "tests" / "integration" / "test_jobs.py").read_text()
    for word in ("submit", "logs", "stop", "resume"):
        assert f'"{word}"' in jobs
    search = (ROOT / SEARCH).read_text()
    assert '"sweeps" / "hparams.py"' in search
    assert '"--hparams"' in search


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user has in front of them, with a folder of texts."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    (folder / "texts").mkdir()
    for language in ("en", "zh", "de", "ru"):
        line = "a line of {} number {}, which says that {} follows {}\n"
        lines = (line.format(language, i, i + 1, i) for i in range(20_000))
        (folder / "texts" / f"{language}.txt").write_text("".join(lines))
    rows = [
        f"{source},de,small,{size},{loss}"
        for source, losses in (("scratch", (1.9, 1.5, 1.2, 1.0)), ("en", (1.4, 1.2, 1.05, 0.95)))
        for size, loss in zip(("6M", "19M", "60M", "189M"), losses, strict=True)
    ]
    text = "\n".join(["init_language,target,model_size,data_size,loss", *rows]) + "\n"
    (folder / "results.csv").write_text(text)
    return folder


@pytest.mark.integration
@pytest.mark.parametrize(
    "command",
    [
        command
        for command in dict.fromkeys(c for page in PAGES for c in commands(page))
        if command not in ELSEWHERE.keys() | BY_HAND.keys() and "mlflow ui" not in command
    ],
)
def test_a_command_of_the_pages(command: str, checkout: Path) -> None:
    words = command
    # A plan of the demo, too, is of the small sweep that stands under its name.
    if command.startswith(("python sweeps/grid.py", "raydt plan")) and "help" not in command:
        words += f" --seeds 0 {SMALL}"
    done = subprocess.run(
        shlex.split(words),
        cwd=checkout,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if command.startswith("raydt analyze"):
        assert "D_T" in done.stdout
        assert "report.html" in done.stdout
    if command == "python sweeps/grid.py":
        assert "84 of 84 cells done" in done.stdout


@pytest.mark.integration
def test_the_ui_opens_on_the_store_that_was_filled(checkout: Path) -> None:
    import time
    import urllib.request

    command = next(c for c in commands("README.md") if c.startswith("mlflow ui"))
    assert (checkout / "runs" / "mlflow.db").exists(), "the commands before this one fill it"
    port = free_port()
    words = shlex.split(command.replace("$PWD", str(checkout)))
    server = subprocess.Popen(
        [*words, "--host", "127.0.0.1", "--port", str(port)],
        cwd=checkout,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        for _ in range(2400):  # four minutes: on a busy machine MLflow takes one to start
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                    assert answer.read() == b"OK"
                break
            except OSError:
                assert server.poll() is None, server.communicate()
                time.sleep(0.1)
        else:
            raise AssertionError("the UI did not answer")
        query = urllib.request.Request(
            f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search",
            data=b'{"max_results": 10}',
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(query) as answer:
            assert b'"demo"' in answer.read()
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)
