"""What somebody gets who has the wheel and no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

from raydt import __version__
from tests.program import output_of

ROOT = Path(__file__).parent.parent
LOSSES = """\
init_language,target,model_size,data_size,loss
scratch,de,small,6M,1.9
scratch,de,small,19M,1.5
scratch,de,small,60M,1.2
en,de,small,6M,1.4
en,de,small,19M,1.2
"""


def test_the_version_stands_in_one_place() -> None:
    assert f"\n## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    places = [ROOT / "cluster.yaml", *(ROOT / "cluster").iterdir(), *(ROOT / "docs").rglob("*.md")]
    tags = {
        tag
        for place in places
        for tag in re.findall(r"/raydt:([0-9][^-\s]*)-", place.read_text("utf-8"))
    }
    assert tags == {__version__}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel made of the source distribution, as a package index would have both."""
    folder = tmp_path_factory.mktemp("dist")
    _build("sdist", ROOT, folder)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    _build("wheel", folder / archive.name.removesuffix(".tar.gz"), folder)
    (built,) = folder.glob("*.whl")
    return built


def _build(target: str, source: Path, folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a command of an environment that has the wheel, and what it depends on from this one:
    a path in a .pth file is searched, but the .pth files there, such as that of an editable raydt,
    are not read."""
    root = tmp_path_factory.mktemp("installed")
    environment, empty = root / "env", root / "empty"
    empty.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True, capture_output=True)
    (own,) = (environment / "lib").glob("python*/site-packages")
    (own / "from-the-tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program: str, *words: str) -> str:
        return output_of([environment / "bin" / program, *words], empty, given)

    where = run("python", "-c", "import raydt, analysis; print(raydt.__file__, analysis.__file__)")
    assert all(Path(file).is_relative_to(own) for file in where.split()), where
    (empty / "losses.csv").write_text(LOSSES)
    return run


@pytest.mark.integration
def test_the_wheel_has_every_file_of_the_packages(wheel: Path) -> None:
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    there = {
        path.relative_to(ROOT).as_posix()
        for package in ("raydt", "analysis")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == there
    assert wheel.name == f"raydt-{__version__}-py3-none-any.whl"


@pytest.mark.integration
def test_the_wheel_runs_from_an_empty_folder(installed: Callable[..., str]) -> None:
    assert installed("raydt", "--version") == f"raydt {__version__}\n"
    overview = installed("raydt", "--help")
    for command in ("run", "hparams", "analyze"):
        assert re.search(rf"^  {command} ", overview, re.MULTILINE)
    words = "--sources related --targets alba --sizes 2k 8k".split()
    assert "to do" in installed("raydt", "plan", *words)
    installed("raydt", "import", "losses.csv", "--sizes", "published")
    analyzed = installed("raydt", "analyze", "losses")
    assert "D_T into de" in analyzed
    page = installed("python", "-c", "print(open('runs/losses/report/report.html').read())")
    assert "D_T" in page
    code = "from raydt.export import folder; print((__import__('pathlib').Path(folder.__file__)"
    assert "RaydtForCausalLM" in installed(
        "python", "-c", f"{code}.with_name(folder._CODE)).read_text())"
    )
