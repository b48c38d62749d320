from __future__ import annotations

from pathlib import Path

import pytest

from raydt.cli import main

LOSSES = """init_language,target,model_size,data_size,loss
scratch,de,small,6M,2.5
scratch,de,small,19M,2.0
scratch,de,small,60M,1.6
en,de,small,6M,2.1
"""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage with one imported sweep, made once."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "losses.csv").write_text(LOSSES)
    words = ["import", str(folder / "losses.csv"), "--storage", str(folder / "runs")]
    assert main(words) == 0
    return folder / "runs"
