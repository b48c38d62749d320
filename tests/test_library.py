"""raydt as a library: light to import, and its examples are run."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from pathlib import Path

import pytest

import raydt
import raydt.library
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
def test_the_examples_are_as_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(raydt.library)
    assert outcome.failed == 0
    assert outcome.attempted > 10
