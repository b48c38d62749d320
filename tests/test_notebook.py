"""The notebook is what its script makes, and runs from a folder of text to a figure."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def maker(root: Path) -> ModuleType:
    path = root / "examples" / "make_notebook.py"
    spec = importlib.util.spec_from_file_location("make_notebook", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_what_its_script_makes(maker: ModuleType) -> None:
    made = maker.notebook_of(maker.SOURCE.read_text("utf-8"))
    assert maker.NOTEBOOK.read_text("utf-8") == made, "run python examples/make_notebook.py"
    cells = json.loads(made)["cells"]
    assert {cell["cell_type"] for cell in cells} == {"code", "markdown"}
    assert cells[0]["source"][0].startswith("# What does")


@pytest.mark.integration
@pytest.mark.timeout(900)
def test_it_runs(
    maker: ModuleType, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(root))
    notebook = nbformat.read(maker.NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert any("transferred_bytes" in o.get("data", {}).get("text/plain", "") for o in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert (tmp_path / "transfer.png").stat().st_size > 5_000
