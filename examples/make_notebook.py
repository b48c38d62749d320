"""examples/notebook.ipynb out of examples/notebook.py, whose cells begin with `# %%`.

python examples/make_notebook.py
"""

from __future__ import annotations

import json
from pathlib import Path

_HERE = Path(__file__).parent
SOURCE, NOTEBOOK = _HERE / "notebook.py", _HERE / "notebook.ipynb"
_MARK, _PROSE = "# %%", " [markdown]"


def notebook_of(script: str) -> str:
    """The text of a notebook without outputs; of prose the comment signs are taken off."""
    cells = []
    for number, part in enumerate(script.split(_MARK)[1:]):
        head, _, body = part.partition("\n")
        is_prose = head == _PROSE
        lines = body.strip("\n").splitlines(keepends=True)
        if is_prose:
            lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
        cell = {"cell_type": "markdown" if is_prose else "code", "id": f"cell-{number}"}
        cell |= {"metadata": {}, "source": lines}
        cells.append(cell if is_prose else {**cell, "execution_count": None, "outputs": []})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook_of(SOURCE.read_text("utf-8")), "utf-8")
