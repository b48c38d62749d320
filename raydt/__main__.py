"""`python -m raydt`, for when the `raydt` script is not on PATH."""

import sys
from pathlib import Path

# Python puts the working directory first in sys.path: an `analysis/` folder there would shadow
# ours.
_ours, _first = Path(__file__).parents[1], Path(sys.path[0] or ".").resolve()
if _first == Path.cwd() and _first != _ours:
    del sys.path[0]

from raydt.cli import main  # noqa: E402 - sys.path must be fixed first

sys.exit(main())
