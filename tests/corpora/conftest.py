"""A small corpus of text files, and where languages are prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from raydt.corpora.spec import FilesCorpus


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "prepared"


@pytest.fixture
def corpus(tmp_path: Path) -> FilesCorpus:
    """Two languages of 600 documents, about 15 kB each."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for language in ("en", "de"):
        text = "".join(f"{language} {number} grüßt, und geht\n" for number in range(600))
        (folder / f"{language}.txt").write_text(text)
    return FilesCorpus(folder)
