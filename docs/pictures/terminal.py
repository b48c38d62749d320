"""docs' picture of a launch while it runs: a sweep is trained, and its terminal exported by rich.

    python docs/pictures/terminal.py --after 6 -- --sweep sweeps/smoke.toml

Trains what stands behind `--` in a folder of its own, takes the picture at the first moment at
which so many cells have ended and every slot has a cell that was evaluated, and interrupts the
launch as Ctrl-C does. Writes terminal.svg beside this script.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shlex
import signal
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from raydt.commands.sweep_parser import SweepParser
from raydt.config.read import read_sweep
from raydt.grid.journal_rows import ReportRow
from raydt.terminal.progress import Progress

HERE = Path(__file__).parent
WIDTH = 84
# Without rich's fonts, which a page that shows the picture does not load.
FORMAT = re.sub(r"@font-face \{\{.*?\n    \}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


class Photographed(Progress):
    """The display of a launch, which takes one picture of itself."""

    def __init__(self, command: str, num_slots: int, after: int, path: Path) -> None:
        super().__init__(Console(file=io.StringIO(), force_terminal=True, width=WIDTH))
        self._said = [Text(f"$ {command}", style="bold")]
        self._slots, self._after, self._path = num_slots, after, path

    def say(self, text: str, style: str | None = None) -> None:
        self._said.append(Text(text, style=style or ""))
        super().say(text, style)

    def reported(self, cell_id: str, row: ReportRow) -> None:
        super().reported(cell_id, row)
        with self._lock:
            evaluated = self._running.keys() & self._reports.keys()
            if len(self._status) >= self._after and len(evaluated) == self._slots:
                self._take()

    def _take(self) -> None:
        if self._path.exists():
            return
        paper = Console(file=io.StringIO(), force_terminal=True, width=WIDTH, record=True)
        for line in self._said:
            paper.print(line, soft_wrap=True)
        paper.print(self._render())
        self._path.write_text(paper.export_svg(title="raydt", code_format=FORMAT), "utf-8")
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--after", type=int, required=True, help="cells that have ended")
    parser.add_argument("words", nargs="+", help="those of sweeps/grid.py")
    given = parser.parse_args()
    command = f"python sweeps/grid.py {shlex.join(given.words)}"
    options = SweepParser("sweeps/grid.py", "")
    options.add_sweep_options()
    from raydt.orchestration.launch import launch

    with tempfile.TemporaryDirectory() as storage:
        typed = options.read([*given.words, "--storage", storage]).typed
        sweep = read_sweep(typed)
        picture = Path(storage) / "terminal.svg"
        try:
            launch(sweep, Photographed(command, sweep.num_slots, given.after, picture))
        except KeyboardInterrupt:
            (HERE / "terminal.svg").write_bytes(picture.read_bytes())
        else:
            parser.error("expected a moment at which every slot had a cell; got none: less --after")


if __name__ == "__main__":
    main()
