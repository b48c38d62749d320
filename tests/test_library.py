"""raydt as a library: light to import, and its examples are run."""

from __future__ import annotations

import doctest
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import raydt
import raydt.library
from raydt.cli import main
from raydt.errors import InputError


def test_the_package_is_light_to_import() -> None:
    heavy = ("torch", "ray", "mlflow", "pandas", "pydantic", "raydt.library")
    program = f"import sys, raydt; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_plan_imports_neither_torch_nor_ray(tmp_path: Path) -> None:
    program = (
        "import sys, raydt\n"
        "raydt.plan(sources=['related'], targets=['alba'])\n"
        "print([name for name in ('torch', 'ray', 'mlflow') if name in sys.modules])"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        raydt.plan(sources=["related"], targets=["alba"], sizes=["many"], protocol={"patiense": 1})
    assert len(caught.value.problems) == 2


def test_what_the_package_does_not_have() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'teach'"):
        raydt.teach  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_notebook_that_has_imported_ray(tmp_path: Path) -> None:
    """Ray has read its environment by then; one that runs there is not ours to end."""
    program = (
        "import ray, ray.tune, raydt\n"
        "from raydt.errors import InputError\n"
        "small = {'val_bytes': '2k', 'test_bytes': '2k', 'pretrain': {'epochs': 1}}\n"
        "axes = dict(sources=['related'], targets=['alba'], sizes=['2k'], seeds=[0])\n"
        "sweep = raydt.plan(**axes, pretrain_size='2k', name='small', protocol=small).sweep\n"
        "ray.init(address='local', num_cpus=1)\n"
        "try:\n"
        "    raydt.train(sweep)\n"
        "except InputError as error:\n"
        "    print('ray.shutdown()' in str(error), ray.is_initialized())\n"
        "ray.shutdown()\n"
        "print(raydt.train(sweep).whole, ray.is_initialized())"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=kept
    )
    assert done.stdout.splitlines()[-2:] == ["True True", "True False"], done.stderr


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_table_of_losses_is_analyzed_by_its_name(tmp_path: Path) -> None:
    """Bits of scratch models in one file, nats of finetunes in another."""
    storage = str(tmp_path / "runs")
    scratch, finetunes = tmp_path / "scratch.csv", tmp_path / "finetunes.csv"
    sizes = [1_000_000 * 4**step for step in range(4)]
    losses = [0.9 + 20 * size**-0.35 for size in sizes]
    scratch.write_text(
        "source,target,size,bpb\n"
        + "".join(
            f"none,de,{size},{loss / math.log(2)}\n"
            for size, loss in zip(sizes, losses, strict=True)
        )
    )
    # As good as scratch on 16 MB.
    finetunes.write_text(f"source,target,size,loss\nen,de,1000000,{losses[2]}\n")
    words = ["--name", "mine", "--storage", storage]
    bits = ["--column", "loss=bpb", "--unit", "bits"]
    assert main(["import", str(scratch), *words, *bits]) == 0
    assert main(["import", str(finetunes), *words, "--add"]) == 0
    found = raydt.analyze("mine", storage=storage)
    (row,) = found.effective.to_dict("records")
    assert row["transferred_bytes"] == pytest.approx(15_000_000, rel=1e-3)
    assert found.report_path == tmp_path / "runs" / "mine" / "report" / "report.html"
    with pytest.raises(InputError, match="raydt import"):
        raydt.analyze("mine", storage=tmp_path / "elsewhere")


def test_the_examples_are_as_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(raydt.library)
    assert outcome.failed == 0
    assert outcome.attempted > 10
