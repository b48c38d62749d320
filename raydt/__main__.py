"""`python -m raydt`, where the script is not on the path."""

import sys
from pathlib import Path

# Python puts the working directory first, where somebody's own `analysis/` would be taken for ours.
_ours, _first = Path(__file__).parents[1], Path(sys.path[0] or ".").resolve()
if _first == Path.cwd() and _first != _ours:
    del sys.path[0]

from raydt.cli import main  # noqa: E402 - only now it finds our packages

sys.exit(main())
